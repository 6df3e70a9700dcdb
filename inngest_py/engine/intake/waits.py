"""Waits: open them, with the invocations that some start; read their answers; send signals."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from ... import observe
from ...domain import cel
from ...domain.errors import Invalid, SignalTaken
from ...domain.events import user_events
from ...domain.events.user_events import Event
from ...domain.limits import MAX_STEP_BYTES
from ...domain.reply.wait_end import wait_entry
from ...domain.runs.items import HINT_GRACE, Item, ItemKind
from ...domain.runs.runs import Run
from ...domain.steps.wait_results import EndedBy, read_wait
from ...domain.steps.waits import Wait, check_signal, correlation_id
from ...domain.values import canonical, ids
from ...domain.values.checks import MOST_LEVELS, is_deeper
from ...storage.db.row_types import RowValues
from ...storage.events import events as stored_events
from ...storage.events import waits
from ...storage.queue import queue_items
from ...storage.queue.queue_items import ItemRow
from ...storage.runs import attempts
from ..runtime.context import Context

_MOST_WARNED = 1000


@dataclass(slots=True)
class Opening:
    """A wait to open, with the row of its queue item. It is opened only if that row is new."""

    run: Run
    wait: Wait
    row: ItemRow
    event_id: str | None = None  # of the invocation that the wait is for

    @property
    def step(self) -> str:
        """The step that waits."""
        return self.row["step"] or ""

    @property
    def wait_id(self) -> str:
        """The id of the wait's row, the same however often the step is reported."""
        return ids.wait_id(self.run.id, self.step)


def prepare(ctx: Context, run: Run, wait: Wait, row: ItemRow) -> Opening:
    """Complete the row of a wait's item with what the timeline shows of the wait."""
    opening = Opening(run, wait, row)
    if wait.invocation is not None:
        opening.event_id = ctx.new_id(row["queued_at"])
        shown = read_wait(row["opts"])
        shown.info["triggeringEventID"] = opening.event_id
        row["opts"] = shown.written()
    return opening


def open_all(tx: Connection, ctx: Context, openings: Sequence[Opening]) -> list[Event]:
    """Open waits whose items were new; locks waits for the same signals.

    Returns the invocations, for the same transaction to publish. Raises SignalTaken when another
    run waits for a signal; the transaction must then roll back.
    """
    if not openings:
        return []
    attempts.add(tx, [_attempt_row(opening) for opening in openings])
    ordered = sorted(openings, key=lambda opening: opening.wait.signal or "")
    for opening in ordered:
        _warn(ctx, opening)
        signal, replaces = opening.wait.signal, opening.wait.replaces
        if signal is not None:
            waits.free_signal(tx, signal, opening.row["queued_at"], replaces=replaces)
    new = waits.add(tx, [_wait_row(opening) for opening in ordered])
    if any(o.wait.signal is not None and o.wait_id not in new for o in openings):
        raise SignalTaken
    return [
        _invoked(ctx, opening, opening.event_id)
        for opening in openings
        if opening.event_id is not None and opening.wait_id in new
    ]


def _warn(ctx: Context, opening: Opening) -> None:
    """Log a condition that the reference would not index, once per step (waits.md §3)."""
    condition, run = opening.wait.condition, opening.run
    if condition is None:
        return
    try:
        cel.check_restrictive(condition)
    except Invalid as error:
        # once per step: ids are written into conditions, so they differ from run to run
        step = f"{run.function_id}.{opening.step}"
        if step in ctx.warned:
            return
        if len(ctx.warned) >= _MOST_WARNED:
            ctx.warned.clear()
        ctx.warned.add(step)
        observe.event(
            "wait.slow",
            level=30,
            run_id=run.id,
            function=run.function_slug,
            step=opening.row["step_name"],
            error=error.message,
        )


def _attempt_row(opening: Opening) -> RowValues:
    row = opening.row
    entry = wait_entry(row["step_name"] or "", opening.step, row["opts"] or "{}")
    begun_at = row["queued_at"]
    return attempts.new_row(
        opening.run.id, entry, queued_at=begun_at, started_at=begun_at, ended_at=begun_at
    )


def _wait_row(opening: Opening) -> RowValues:
    run, wait, row = opening.run, opening.wait, opening.row
    return {
        "id": opening.wait_id,
        "kind": wait.kind.value,
        "run_id": run.id,
        "step": row["step"],
        "event_name": wait.event_name,
        "expression": wait.expression,
        "lookup_path": wait.path,
        "lookup_key": wait.key,
        "signal": wait.signal,
        "created_by": run.event_id,
        "created_at": row["queued_at"],
        # the item of a wait that looks back is due at once
        "expires_at": row["queued_at"] + wait.timeout if wait.look_back else row["due_at"],
        "item_id": row["id"],
    }


def _invoked(ctx: Context, opening: Opening, event_id: str) -> Event:
    """Build the event that starts an invoked function (events.md §8.4)."""
    run, row, asked = opening.run, opening.row, opening.wait.invocation
    assert asked is not None
    routing = {
        "correlation_id": correlation_id(run.id, opening.step),
        "expire": int(row["due_at"].timestamp() * 1000),
        "fn_id": asked.function,
        "name": row["step_name"],
        "source_fn_id": run.function_id,
    }
    source = ctx.catalog.by_id.get(run.function_id)
    if source is not None:
        routing |= {"source_app_id": source.app_id, "source_fn_v": source.version}
    return user_events.invoked(
        asked.data,
        routing,
        id=event_id,
        ts_ms=int(row["queued_at"].timestamp() * 1000),
        external_id=asked.external_id,
        user=asked.user,
        v=asked.v,
        meta=asked.meta,
    )


def read_wait_ends(tx: Connection, given: Sequence[tuple[str, str | None]]) -> dict[str, EndedBy]:
    """Read what has ended waits, by item id; takes (item id, stored answer), skips unanswered."""
    found = {item_id: canonical.loads(text) for item_id, text in given if text is not None}
    if not found:
        return {}
    wanted = sorted({answer["event"] for answer in found.values() if "event" in answer})
    rows = stored_events.by_ids(tx, wanted) if wanted else {}
    return {
        item_id: EndedBy(
            event_id=answer.get("event"),
            event=rows[answer["event"]]["payload"] if answer.get("event") in rows else None,
            data=answer.get("data"),
        )
        for item_id, answer in found.items()
    }


def read_wait_end(ctx: Context, item: Item) -> EndedBy | None:
    """Read what has ended a wait meanwhile; None when nothing has."""
    with ctx.db.reading() as tx:
        return read_wait_ends(tx, [(item.id, queue_items.read_wait_end(tx, item.id))]).get(item.id)


def signal(ctx: Context, name: str, data: object) -> str | None:
    """End the wait for a signal; return its run's id, None when no run waits (waits.md §5).

    Raises Invalid for a name or data that cannot be stored.
    """
    check_signal(name)
    answer = canonical.dumps({"data": data}).decode()
    if canonical.size(answer) > MAX_STEP_BYTES:
        raise Invalid(f"the signal's data is over {MAX_STEP_BYTES} bytes", field="data")
    if is_deeper(answer, MOST_LEVELS + 1):
        raise Invalid(f"the signal's data is nested deeper than {MOST_LEVELS} levels", field="data")
    taken = ctx.committer.run_once(lambda tx: _end_wait(tx, name, answer, ctx.now()))
    if taken is None:
        return None
    run_id, item_id = taken
    ctx.hints.send([(ItemKind.WAIT, item_id)])
    return run_id


def _end_wait(tx: Connection, name: str, answer: str, now: datetime) -> tuple[str, str] | None:
    taken = waits.consume_signal(tx, name, now)
    if taken is not None:
        queue_items.end_waits(tx, [(taken[1], answer)], now, now + HINT_GRACE)
    return taken
