"""Do the next chunk of an operation: lease it, find the next items, change them, note progress."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import SQLAlchemyError

from ... import observe
from ...domain.errors import InngestPyError
from ...domain.operations import pacing, selections
from ...domain.operations.operations import Kind, Outcome, State
from ...domain.operations.selections import EventSelection, Selection
from ...domain.values import canonical
from ...domain.values.json_fields import JsonFields
from ...storage.db.outages import logged, outage
from ...storage.db.row_types import RowValues
from ...storage.operations import operations as rows
from ..runtime.context import Context
from .acts import ACTS, Acted, Handled
from .selecting import Found, next_events, next_runs

# For how long a chunk keeps its operation to itself. After a kill, it continues then.
LEASE = timedelta(seconds=15)
_MOST_REASON = 300


@dataclass(frozen=True, slots=True)
class _Claimed:
    """An operation that this process has leased, as it was when it did."""

    row: RowMapping
    lease: str
    selection: Selection

    @property
    def id(self) -> str:
        return str(self.row["id"])

    @property
    def kind(self) -> Kind:
        return Kind(self.row["kind"])


def selection_of(row: RowMapping) -> Selection:
    """Read an operation's selection. Raises Invalid."""
    given = JsonFields(canonical.loads(row["selection"]), "selection")
    if row["kind"] == Kind.REPLAY_EVENTS:
        return selections.parse_events(given, row["before"])
    return selections.parse_runs(given, cancel=row["kind"] == Kind.CANCEL)


def next_chunk(ctx: Context) -> bool:
    """Do the next chunk of the operation that is due first; say whether there was one."""
    now, lease = ctx.real_now(), ctx.new_id()
    with ctx.db.transaction() as tx:
        row = rows.claim(tx, now, lease, now + LEASE)
    if row is None:
        return False
    try:
        claimed = _Claimed(row, lease, selection_of(row))
        found = _next(ctx, claimed)
    except InngestPyError as error:  # what it selects is gone, as a function can be
        _end(ctx, row, lease, State.FAILED, error.message)
        return True
    try:
        _do(ctx, claimed, found.ids, found)
    except Exception as error:
        if outage(error) or isinstance(error, OSError):
            raise  # the lease lapses, and the chunk is done then
        observe.event("operation.chunk_failed", level=40, operation=claimed.id, **logged(error))
        _one_by_one(ctx, claimed, found)
    return True


def _next(ctx: Context, claimed: _Claimed) -> Found:
    row = claimed.row
    most, before, cursor = pacing.chunk(row["rate"]), row["before"], row["cursor"]
    if isinstance(claimed.selection, EventSelection):
        return next_events(ctx, claimed.selection, before, cursor, most)
    return next_runs(ctx, claimed.kind, claimed.selection, before, cursor, most)


def _do(ctx: Context, claimed: _Claimed, ids: Sequence[str], found: Found | None) -> bool:
    """Change items and note progress; with `found`, the chunk is over. False: the lease is lost."""

    with ctx.db.transaction() as tx:
        row = rows.lock(tx, claimed.id, claimed.lease)
        if row is None:  # paused, cancelled, or taken over after the lease had lapsed
            return False
        seen = rows.seen(tx, claimed.id, ids)
        todo = [item_id for item_id in ids if item_id not in seen]
        acted = ACTS[claimed.kind](tx, ctx, row, claimed.selection, todo)
        _note(tx, ctx, row, acted.handled)
        _progress(tx, ctx, claimed, row, acted, ids, found)
    acted.send(ctx)
    if found is not None and found.ended:
        _tell(claimed.row, State.COMPLETED)
    return True


def _note(tx: Connection, ctx: Context, row: RowMapping, handled: Sequence[Handled]) -> None:
    now = ctx.now()
    made: list[RowValues] = [
        {
            "operation_id": row["id"],
            "item_id": one.item_id,
            "run_id": one.run_id,
            "outcome": one.outcome.value,
            "reason": None if one.reason is None else one.reason[:_MOST_REASON],
            "at": now,
        }
        for one in handled
    ]
    rows.add_items(tx, made)


def _progress(
    tx: Connection,
    ctx: Context,
    claimed: _Claimed,
    row: RowMapping,
    acted: Acted,
    ids: Sequence[str],
    found: Found | None,
) -> None:
    counted = Counter(one.outcome.value for one in acted.handled)
    values: RowValues = {"lease": claimed.lease, "cursor": ids[-1] if ids else row["cursor"]}
    if found is not None:
        due = pacing.next_due(
            claimed.row["due_at"], ctx.real_now(), len(acted.handled), row["rate"]
        )
        values = {"lease": None, "cursor": found.cursor or row["cursor"], "due_at": due}
        if found.ended:
            values |= {"state": State.COMPLETED.value, "ended_at": ctx.now()}
    rows.move(tx, row, values, dict(counted))


def _one_by_one(ctx: Context, claimed: _Claimed, found: Found) -> None:
    """Do each item of a chunk alone, so that one of them cannot stop the others."""
    for item_id in found.ids:
        try:
            if not _do(ctx, claimed, [item_id], None):
                return
        except Exception as error:
            if outage(error) or isinstance(error, OSError):
                raise
            observe.event(
                "operation.item_failed",
                level=40,
                operation=claimed.id,
                item=item_id,
                **logged(error),
            )
            _failed(ctx, claimed, item_id, error)
    _do(ctx, claimed, [], found)


def _failed(ctx: Context, claimed: _Claimed, item_id: str, error: Exception) -> None:
    """Note an item whose change has raised: `reason` names the error, and the log has the rest."""
    text = "the database refused it" if isinstance(error, SQLAlchemyError) else "an error of ours"
    told = f"{text} ({type(error).__name__}): the log of the server says more"
    with ctx.db.transaction() as tx:
        row = rows.lock(tx, claimed.id, claimed.lease)
        if row is None:
            return
        handled = [Handled(item_id, Outcome.FAILED, reason=told)]
        _note(tx, ctx, row, handled)
        _progress(tx, ctx, claimed, row, Acted(handled), [item_id], None)


def _end(ctx: Context, row: RowMapping, lease: str, state: State, reason: str) -> None:
    with ctx.db.transaction() as tx:
        locked = rows.lock(tx, row["id"], lease)
        if locked is None:
            return
        ended: RowValues = {"state": state.value, "reason": reason, "ended_at": ctx.now()}
        rows.move(tx, locked, ended, {})
    _tell(row, state, reason)


def _tell(row: RowMapping, state: State, reason: str | None = None) -> None:
    observe.event(
        "operation.ended",
        operation=row["id"],
        kind=row["kind"],
        state=state.value,
        reason=reason or "",
    )


def next_due(ctx: Context) -> datetime | None:
    """Say when the next chunk of an operation may begin, by the real clock; None: there is none."""
    with ctx.db.reading() as tx:
        return rows.next_due(tx)
