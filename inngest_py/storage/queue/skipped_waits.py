"""Skipping: an item that waits for its time becomes due now."""

from datetime import datetime

from sqlalchemy import Connection, RowMapping, case, literal, select, update

from ...domain.runs.items import DRIVING, HINT_GRACE, ItemState
from ..db.columns import Timestamp, table_of
from .queue_items import QueueItem

_items = table_of(QueueItem)
_DRIVING = sorted(kind.value for kind in DRIVING)


def of_run(tx: Connection, run_id: str) -> list[RowMapping]:
    """List the items that continue a run, by due time."""
    query = select(_items).where(_items.c.run_id == run_id, _items.c.kind.in_(_DRIVING))
    return list(tx.execute(query.order_by(_items.c.due_at, _items.c.id)).mappings())


def make_due(tx: Connection, item: RowMapping, now: datetime, opts: str | None) -> bool:
    """Make an item due now, with new `opts`; say whether it still waited as it was read.

    Whatever else ends a wait, or begins to, changes the item's state or its due time.
    """
    moment = literal(now, Timestamp())
    # a retry is queued at the time at which it was to begin
    queued_at = case((_items.c.queued_at > moment, moment), else_=_items.c.queued_at)
    found = tx.execute(
        update(_items)
        .where(
            _items.c.id == item["id"],
            _items.c.state == ItemState.READY.value,
            _items.c.due_at == item["due_at"],
            _items.c.due_at > moment,
        )
        .values(queued_at=queued_at, due_at=moment, hint_at=now + HINT_GRACE, opts=opts)
    )
    return bool(found.rowcount)
