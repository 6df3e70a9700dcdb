"""Counts of waiting and leased items, for people. Counts of pages stop at a bound."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, case, func, or_, select

from ...domain.flow.slots import PREFIXES
from ...domain.runs.items import CELERY, ItemState
from ..catalog.functions import App, FunctionRow
from ..db.columns import table_of
from ..db.row_types import Query
from ..events.events import EventRow
from ..queue.queue_items import QueueItem
from ..runs.runs import RunRow

MOST_COUNTED = 10_000
_items, _runs, _functions = table_of(QueueItem), table_of(RunRow), table_of(FunctionRow)
_MOST_READ = 100_000  # larger events, in characters, are not read for a key's value
# an item's next hint may be a little later than its due time
_HINTED = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class ItemsOfKind:
    """Items of one kind: how many are due, and when the oldest of those looked at was due."""

    kind: str
    count: int
    oldest: datetime | None


def backlog(tx: Connection, now: datetime) -> tuple[int, datetime | None, int]:
    """Count items that are due and not leased, with the oldest due time, and leased items.

    Has no bound: `/health` says how many there are.
    """
    ready = select(func.count(), func.min(_items.c.due_at)).where(
        _items.c.state == ItemState.READY.value,
        _items.c.hint_at <= now + _HINTED,
        _items.c.due_at <= now,
    )
    count, oldest = tx.execute(ready).one()
    leased = select(func.count()).where(_items.c.state == ItemState.LEASED.value)
    return count, oldest, tx.execute(leased).scalar_one()


def of_function(tx: Connection, function_id: str) -> int:
    """Count a function's queue items: due, not due yet, held and leased."""
    mine = _items.join(_runs, _runs.c.id == _items.c.run_id)
    query = select(func.count()).select_from(mine).where(_runs.c.function_id == function_id)
    return tx.execute(query).scalar_one()


def due(tx: Connection, now: datetime, most: int = MOST_COUNTED) -> list[ItemsOfKind]:
    """Count the ready items that are due, by kind; at most `most` in all."""
    found = (
        select(_items.c.kind, _items.c.due_at)
        .where(
            _items.c.state == ItemState.READY.value,
            _items.c.hint_at <= now + _HINTED,
            _items.c.due_at <= now,
        )
        .order_by(_items.c.hint_at)
        .limit(most)
    )
    return _by_kind(tx, found)


def later(tx: Connection, now: datetime) -> list[ItemsOfKind]:
    """Count the ready items whose time has not come, by kind; at most MOST_COUNTED in all."""
    found = (
        select(_items.c.kind, _items.c.due_at)
        .where(
            _items.c.state == ItemState.READY.value, _items.c.hint_at > now, _items.c.due_at > now
        )
        .order_by(_items.c.hint_at)
        .limit(MOST_COUNTED)
    )
    return _by_kind(tx, found)


def _by_kind(tx: Connection, found: Query) -> list[ItemsOfKind]:
    rows = found.subquery()
    query = select(rows.c.kind, func.count(), func.min(rows.c.due_at, type_=rows.c.due_at.type))
    return [
        ItemsOfKind(*row) for row in tx.execute(query.group_by(rows.c.kind).order_by(rows.c.kind))
    ]


def in_flight(tx: Connection, most: int) -> dict[str, int]:
    """Count leased items, by kind; at most `most` in all."""
    held = _items.c.state == ItemState.LEASED.value
    return _counted(tx, select(_items.c.kind).where(held).limit(most))


def in_waiting_lines(tx: Connection, most: int) -> dict[str, int]:
    """Count items in waiting lines, by `throttle`, `concurrency`, `app` or `broker`.

    Counts at most `most` in all. `app` items wait because their app already has its share of the
    calls in flight, `broker` items because the broker of their Celery app is away.
    """
    of_slots = or_(*(_items.c.gate.startswith(prefix, autoescape=True) for prefix in PREFIXES))
    of_app, of_broker = _items.c.gate.startswith("app:"), _items.c.gate.startswith(CELERY)
    known = ((of_slots, "concurrency"), (of_app, "app"), (of_broker, "broker"))
    limit = case(*known, else_="throttle").label("limit")
    waits = _items.c.state == ItemState.WAITING.value
    return _counted(tx, select(limit).where(waits).limit(most))


def _counted(tx: Connection, found: Query) -> dict[str, int]:
    rows = found.subquery()
    [column] = rows.c
    return {row[0]: row[1] for row in tx.execute(select(column, func.count()).group_by(column))}


def leased_by_worker(tx: Connection) -> dict[str, int]:
    """Count the leases of each worker, or of SDKs."""
    query = (
        select(_items.c.worker, func.count())
        .where(_items.c.state == ItemState.LEASED.value)
        .group_by(_items.c.worker)
    )
    return {str(row[0]): row[1] for row in tx.execute(query)}


def lines(tx: Connection, most: int) -> Sequence[RowMapping]:
    """List the longest waiting lines, longest first; looks at MOST_COUNTED items.

    Each line has the function of its first run, and that run's event unless the event is large.
    """
    seen = (
        select(_items.c.gate, _items.c.run_id, _items.c.queued_at)
        .where(_items.c.state == ItemState.WAITING.value)
        .limit(MOST_COUNTED)
        .subquery()
    )
    found = (
        select(
            seen.c.gate,
            func.count().label("waiting"),
            func.min(seen.c.queued_at, type_=seen.c.queued_at.type).label("oldest"),
            func.min(seen.c.run_id).label("first_run"),
        )
        .group_by(seen.c.gate)
        .order_by(func.count().desc(), seen.c.gate)
        .limit(most)
        .subquery()
    )
    payload = case((func.length(EventRow.payload) <= _MOST_READ, EventRow.payload)).label("payload")
    query = (
        select(found, *_functions.c, App.name.label("app_name"), payload)
        .join(_runs, _runs.c.id == found.c.first_run)
        .join(_functions, _functions.c.id == _runs.c.function_id)
        .join(App, App.id == _functions.c.app_id)
        .join(EventRow, EventRow.id == _runs.c.event_id)
        .order_by(found.c.waiting.desc(), found.c.gate)
    )
    return tx.execute(query).mappings().all()


def doing(tx: Connection, most: int) -> dict[str, list[tuple[str, int]]]:
    """Count what each worker works on, by function, or by kind for items without a run."""
    held = (
        select(_items.c.worker, _items.c.run_id, _items.c.kind)
        .where(_items.c.state == ItemState.LEASED.value)
        .limit(most)
        .subquery()
    )
    what = func.coalesce(FunctionRow.slug, held.c.kind)
    query = (
        select(held.c.worker, what, func.count())
        .outerjoin(_runs, _runs.c.id == held.c.run_id)
        .outerjoin(_functions, _functions.c.id == _runs.c.function_id)
        .group_by(held.c.worker, what)
        .order_by(func.count().desc(), what)
    )
    found: dict[str, list[tuple[str, int]]] = {}
    for row in tx.execute(query):
        found.setdefault(str(row[0]), []).append((row[1], row[2]))
    return found


def leased(tx: Connection, limit: int, worker: str | None = None) -> Sequence[RowMapping]:
    """List leased items with their runs' functions, in the order in which the leases end.

    With `worker`, only those of a worker, by its id.
    """
    query = (
        select(
            _items.c.id,
            _items.c.kind,
            _items.c.run_id,
            _items.c.step_name,
            _items.c.attempt,
            _items.c.queued_at,
            _items.c.lease_until,
            _items.c.worker,
            FunctionRow.slug.label("function_slug"),
        )
        .outerjoin(_runs, _runs.c.id == _items.c.run_id)
        .outerjoin(FunctionRow, FunctionRow.id == _runs.c.function_id)
        .where(_items.c.state == ItemState.LEASED.value)
        .order_by(_items.c.lease_until)
        .limit(limit)
    )
    if worker is not None:
        query = query.where(_items.c.worker == worker)
    return tx.execute(query).mappings().all()
