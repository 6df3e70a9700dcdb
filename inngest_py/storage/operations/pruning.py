"""Pruning: delete ended runs with all their rows, and events that nothing refers to.

Each call deletes a small number in the caller's transaction. It locks the rows that it deletes and
skips rows that others have locked, so any number of processes may prune at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, exists, or_, select

from ...domain.values import canonical
from ..db.columns import table_of
from ..db.keyset import Key, after_position
from ..db.row_types import Query, Record
from ..events import waits
from ..events.events import EventRow
from ..flow.debounces import DebounceRow
from ..flow.event_batches import BatchEvent
from ..queue import of_ended_runs
from ..queue.queue_items import QueueItem
from ..queue.task_executions import TaskExecution
from ..runs.attempts import Attempt
from ..runs.defers import DeferRow
from ..runs.failed_runs import FailedRun
from ..runs.metadata import RunMetadata
from ..runs.run_search_keys import RunSearchKey
from ..runs.runs import RunRow
from ..runs.steps import Step

_runs, _events, _items = table_of(RunRow), table_of(EventRow), table_of(QueueItem)
_members, _debounces = table_of(BatchEvent), table_of(DebounceRow)
_OF_RUNS = [
    table_of(model).c.run_id
    for model in (Step, Attempt, RunMetadata, DeferRow, TaskExecution, FailedRun, RunSearchKey)
]
_BY_ARRIVAL = [Key(name, _events.c[name], descending=False) for name in ("received_at", "id")]
_TAKEN = [_runs.c[name] for name in ("id", "event_id", "batch_id", "step_count", "state_bytes")]
# What a transaction deletes at most, except when a single run is larger.
_MOST_ROWS = 1500
_MOST_BYTES = 8 * 1024 * 1024
_ROWS_OF_ALL = 5  # of any run: the run, its event, its last attempt, and two to spare
_CHUNK = 500


def oldest_kept(tx: Connection, count: int) -> datetime | None:
    """Say when the oldest of the newest `count` ended runs ended; None when there are no others.

    Reads `count` index entries.
    """
    query = select(_runs.c.ended_at).where(_runs.c.ended_at.is_not(None))
    newest_first = query.order_by(_runs.c.ended_at.desc())
    past = tx.execute(newest_first.offset(count).limit(1)).scalar()
    return None if past is None else tx.execute(newest_first.offset(count - 1).limit(1)).scalar()


def finished_before(tx: Connection, before: datetime) -> bool:
    """Say whether a run ended before a time."""
    query = select(_runs.c.id).where(_runs.c.ended_at < before).limit(1)
    return tx.execute(query).first() is not None


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one call deleted; `full` when there may be more to delete."""

    runs: int
    events: int
    full: bool


def prune_runs(tx: Connection, before: datetime, events_before: datetime, limit: int) -> Pruned:
    """Delete runs that ended before a time, in the order of their ends, with all their rows.

    Deletes their events, too, when these came before `events_before` and nothing else refers to
    them. Order of locks: the runs' rows, waits, items, events.
    """
    oldest = select(*_TAKEN).where(_runs.c.ended_at < before).order_by(_runs.c.ended_at)
    return _prune(tx, oldest, events_before, limit)


def erase_runs(tx: Connection, function_ids: Sequence[str], before: datetime, limit: int) -> Pruned:
    """Delete the runs of functions that ended before a time, as prune_runs() does."""
    those = (_runs.c.function_id.in_(list(function_ids)), _runs.c.ended_at < before)
    # in no order: in the order of their ends, each call would read the runs of all other apps
    return _prune(tx, select(*_TAKEN).where(*those), before, limit)


def _prune(tx: Connection, those: Query, events_before: datetime, limit: int) -> Pruned:
    taken = _lock_next(tx, those, limit)
    ids = [row.id for row in taken]
    if not ids:
        return Pruned(0, 0, full=False)
    batches = sorted({row.batch_id for row in taken if row.batch_id is not None})
    candidates = {row.event_id for row in taken}
    for column in _OF_RUNS:
        tx.execute(delete(column.table).where(column.in_(ids)))
    waits.drop_runs(tx, ids)
    of_ended_runs.drop_runs(tx, ids)
    tx.execute(delete(_runs).where(_runs.c.id.in_(ids)))
    if batches:
        candidates |= _drop_batches(tx, batches)
    return Pruned(len(ids), drop_events(tx, sorted(candidates), events_before), full=True)


def _lock_next(tx: Connection, those: Query, limit: int) -> list[Record]:
    """Lock the next runs, as many as one transaction should delete."""
    query = those.limit(limit).with_for_update(skip_locked=True)
    taken: list[Record] = []
    rows = size = 0
    for row in tx.execute(query):
        rows += _ROWS_OF_ALL + 2 * row.step_count  # a step has a result and an attempt
        size += row.state_bytes
        if taken and (rows > _MOST_ROWS or size > _MOST_BYTES):
            break
        taken.append(row)
    return taken


def _drop_batches(tx: Connection, batches: Sequence[str]) -> set[str]:
    """Delete event batches that no run has any more; return the ids of some of their events.

    A rerun has the same batch as the original run, and still needs it.
    """
    kept = set(tx.execute(select(_runs.c.batch_id).where(_runs.c.batch_id.in_(batches))).scalars())
    gone = [batch for batch in batches if batch not in kept]
    if not gone:
        return set()
    dropped = delete(_members).where(_members.c.batch_id.in_(gone)).returning(_members.c.event_id)
    # sweep_events() deletes the others
    return set(sorted(tx.execute(dropped).scalars())[:_CHUNK])


def drop_events(tx: Connection, ids: Sequence[str], before: datetime) -> int:
    """Delete those of the events that came before a time and that nothing refers to."""
    old = set(
        tx.execute(
            select(_events.c.id)
            .where(_events.c.id.in_(ids), _events.c.received_at < before)
            .with_for_update(skip_locked=True)
        ).scalars()
    )
    return _drop_unused(tx, old)


Position = tuple[datetime, str]


def came_before(tx: Connection, before: datetime, after: Position | None) -> bool:
    """Say whether any event came before a time and after a position: see sweep_events()."""
    return tx.execute(_old_events(before, after).limit(1)).first() is not None


def _old_events(before: datetime, after: Position | None) -> Query:
    query = select(*(key.column for key in _BY_ARRIVAL)).where(_events.c.received_at < before)
    if after is not None:
        query = query.where(after_position(_BY_ARRIVAL, after))
    return query.order_by(*(key.sort for key in _BY_ARRIVAL))


def sweep_events(
    tx: Connection, before: datetime, after: Position | None, limit: int
) -> tuple[int, Position | None]:
    """Look at the next events that came before a time, and delete those that nothing refers to.

    Starts after a position (received_at, id); None for the first events. Returns how many it
    deleted, and the position of the last event it looked at; None when no events were left.
    """
    query = _old_events(before, after).limit(limit)
    page = tx.execute(query.with_for_update(skip_locked=True)).all()
    if not page:
        return 0, None
    last = page[-1]
    return _drop_unused(tx, {row.id for row in page}), (last.received_at, last.id)


def _drop_unused(tx: Connection, ids: set[str]) -> int:
    """Delete those of the events that nothing refers to; the caller has locked them.

    References move from timers to answers, and from debounces and batches to runs, each in one
    transaction. They are read in that order, runs last, so that a reference that moves meanwhile
    is found at its new place.
    """
    for referring in (_queued, _answering, _debounced, _batched, _started):
        if not ids:
            return 0
        ids = ids.difference(referring(tx, sorted(ids)))
    if not ids:
        return 0
    free = sorted(ids)
    tx.execute(delete(_members).where(_members.c.event_id.in_(free)))
    tx.execute(delete(_events).where(_events.c.id.in_(free)))
    return len(free)


def _queued(tx: Connection, ids: list[str]) -> Iterable[str]:
    """Find events whose waits are ended page by page: such an item has the event's id as run id."""
    return tx.execute(select(_items.c.run_id).where(_items.c.run_id.in_(ids))).scalars()


def _answering(tx: Connection, ids: list[str]) -> Iterable[str]:
    """Find events that ended a wait whose run has not continued yet: its function may be paused."""
    answered = list(tx.execute(select(_items.c.id).where(_items.c.answer.is_not(None))).scalars())
    texts = {canonical.dumps({"event": event_id}).decode(): event_id for event_id in ids}
    for start in range(0, len(answered), _CHUNK):
        chunk = answered[start : start + _CHUNK]
        for answer in tx.execute(select(_items.c.answer).where(_items.c.id.in_(chunk))).scalars():
            if answer in texts:
                yield texts[answer]


def _debounced(tx: Connection, ids: list[str]) -> Iterable[str]:
    return tx.execute(select(_debounces.c.event_id).where(_debounces.c.event_id.in_(ids))).scalars()


def _batched(tx: Connection, ids: list[str]) -> Iterable[str]:
    """Find events of event batches that are open or have a run."""
    lives = or_(
        exists().where(_items.c.run_id == _members.c.batch_id),  # the timer of an open batch
        exists().where(_runs.c.batch_id == _members.c.batch_id),
    )
    query = select(_members.c.event_id).where(_members.c.event_id.in_(ids), lives)
    return tx.execute(query).scalars()


def _started(tx: Connection, ids: list[str]) -> Iterable[str]:
    return tx.execute(select(_runs.c.event_id).where(_runs.c.event_id.in_(ids))).scalars()
