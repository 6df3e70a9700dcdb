"""Subscriptions: opened with a run, for the events that would cancel it (`cancelOn`).

The transaction that stores an event locks no run. If a subscription may match, it only writes an
item of kind `cancel`; work/cancel_on_event.py runs that item and cancels the runs.
"""

from datetime import datetime

from sqlalchemy import Connection

from ...domain.reply import cancel_on as rules
from ...domain.runs.items import ItemKind
from ...domain.steps.waits import WaitKind
from ...domain.values import canonical, ids
from ...storage.db.row_types import RowValues
from ...storage.events import cancel_on as rows
from ...storage.queue import queue_items
from ...storage.queue.queue_items import ItemRow
from ..runtime.catalog import Function
from ..runtime.context import Context, Hint


def subscribe(
    run_id: str, function: Function, event_id: str, payload: str, now: datetime
) -> list[RowValues]:
    """Make the rows of a new run's subscriptions; event batches have none (waits.md §7.1)."""
    if not function.config.cancel or function.config.batch is not None:
        return []
    event = canonical.loads(payload)
    made = (rules.subscription(cancel, event, now) for cancel in function.config.cancel)
    return [
        {
            "id": ids.wait_id(run_id, f"cancel-{place}"),
            "kind": WaitKind.CANCEL.value,
            "run_id": run_id,
            "step": None,
            "event_name": found.event,
            "expression": found.expression,
            "lookup_path": found.path,
            "lookup_key": found.key,
            "signal": None,
            "created_by": event_id,
            "created_at": now,
            "expires_at": found.expires_at,
            "item_id": None,
        }
        for place, found in enumerate(made)
        if found is not None
    ]


def queue_cancellations(
    tx: Connection, ctx: Context, found: dict[str, list[rows.Lookup]], now: datetime
) -> list[Hint]:
    """Queue an item for each event that subscriptions may match; return the hints.

    `found` has the places of each event in the index.
    """
    heard = rows.listening(tx, [lookup for lookups in found.values() for lookup in lookups])
    wanted = [
        _item_row(ctx, event_id, now)
        for event_id, lookups in found.items()
        if heard.intersection(lookups)
    ]
    queue_items.put(tx, wanted)
    return [(ItemKind.CANCEL, row["id"]) for row in wanted]


def _item_row(ctx: Context, event_id: str, now: datetime) -> ItemRow:
    return queue_items.new_row(
        ctx.new_id(now), ItemKind.CANCEL, event_id, f"{event_id}-cancel", due_at=now, now=now
    )
