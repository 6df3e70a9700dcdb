"""Rows that say why a run or an event waits. All reads are bounded, by index, without locks."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, func, or_, select, tuple_

from ...domain.reports.why import MOST_COUNTED
from ...domain.runs.items import ItemKind, ItemState
from ...domain.runs.runs import RunStatus
from ..catalog.functions import FunctionRow
from ..db.columns import table_of
from ..db.row_types import Query
from ..flow.buckets import Bucket
from ..flow.debounces import DebounceRow
from ..flow.event_batches import BatchBucket, BatchEvent
from ..operations.workers import Worker
from ..queue.queue_items import QueueItem
from ..runs.attempts import Attempt
from ..runs.runs import RunRow
from .worker_list import ALIVE

_items, _runs, _attempts = table_of(QueueItem), table_of(RunRow), table_of(Attempt)
_workers, _buckets = table_of(Worker), table_of(Bucket)
_debounces, _members = table_of(DebounceRow), table_of(BatchEvent)
_batches = table_of(BatchBucket)

MOST_ITEMS = 50
MOST_HOLDERS = 20


def items(tx: Connection, run_id: str, but: Sequence[ItemKind]) -> list[RowMapping]:
    """List a run's items, except those of some kinds, by due time, at most MOST_ITEMS."""
    query = select(_items).where(
        _items.c.run_id == run_id, _items.c.kind.not_in([kind.value for kind in but])
    )
    ordered = query.order_by(_items.c.due_at, _items.c.id).limit(MOST_ITEMS)
    return list(tx.execute(ordered).mappings())


def _count(tx: Connection, query: Query) -> int:
    """Count rows, up to MOST_COUNTED plus one."""
    bounded = query.limit(MOST_COUNTED + 1).subquery()
    return int(tx.execute(select(func.count()).select_from(bounded)).scalar_one())


def ahead(tx: Connection, item: RowMapping) -> int:
    """Count the items before a waiting item in its waiting line."""
    place = tuple_(_items.c.rank_us, _items.c.id) < (item["rank_us"], item["id"])
    mine = (_items.c.gate == item["gate"], _items.c.state == ItemState.WAITING.value)
    return _count(tx, select(_items.c.id).where(*mine, place))


def due_before(tx: Connection, item: RowMapping, now: datetime) -> int:
    """Count ready items that have been due for longer than one that is due."""
    ready = _items.c.state == ItemState.READY.value
    hinted = _items.c.hint_at <= now + timedelta(seconds=10)
    return _count(tx, select(_items.c.id).where(ready, hinted, _items.c.due_at < item["due_at"]))


def holders(tx: Connection, group: str) -> tuple[int, list[str]]:
    """Count the slots of a group that are taken; list the runs, at most MOST_HOLDERS.

    An item that has been let in counts, though nobody has leased it yet.
    """
    found: list[str] = []
    leased = _items.c.state == ItemState.LEASED.value
    for query in (
        select(_items.c.run_id).where(leased, _items.c.slot1 == group),
        select(_items.c.run_id).where(leased, _items.c.slot2 == group),
        select(_items.c.run_id).where(
            _items.c.gate == group, _items.c.state == ItemState.READY.value
        ),
        select(_runs.c.id).where(
            _runs.c.run_slot == group, _runs.c.status == RunStatus.RUNNING.value
        ),
    ):
        found += tx.execute(query.limit(MOST_COUNTED + 1)).scalars()
    return len(found), list(dict.fromkeys(found))[:MOST_HOLDERS]


def arrival(tx: Connection, bucket: str) -> int | None:
    """Read a bucket's number; None when it is idle."""
    return tx.execute(select(_buckets.c.arrival_ns).where(_buckets.c.key == bucket)).scalar()


def timer(tx: Connection, job_key: str) -> RowMapping | None:
    """Find a rule's timer by its job; None when it has none."""
    return tx.execute(select(_items).where(_items.c.job_key == job_key)).mappings().first()


def last_failure(
    tx: Connection, run_id: str, *, step: str | None = None, op: str | None = None
) -> RowMapping | None:
    """Find the last attempt with an error, of a run or of one step or opcode in it."""
    query = select(_attempts).where(_attempts.c.run_id == run_id, _attempts.c.error.is_not(None))
    if step is not None:
        query = query.where(_attempts.c.step == step)
    if op is not None:
        query = query.where(_attempts.c.op == op)
    return tx.execute(query.order_by(_attempts.c.id.desc()).limit(1)).mappings().first()


def worker(tx: Connection, worker_id: str) -> RowMapping | None:
    """Find a worker; None when it has stopped, or has been silent for long."""
    return tx.execute(select(_workers).where(_workers.c.id == worker_id)).mappings().first()


def alive(tx: Connection, now: datetime) -> int:
    """Count the workers that are alive now."""
    query = select(func.count()).where(_workers.c.heartbeat_at >= now - ALIVE)
    return int(tx.execute(query).scalar_one())


def parked(tx: Connection, key: str) -> RowMapping | None:
    """Read what a debounce has parked for a key; None when there is nothing."""
    query = select(_debounces).where(_debounces.c.key == key, _debounces.c.event_id.is_not(None))
    return tx.execute(query).mappings().first()


def parked_for_missing(
    tx: Connection, event_id: str, unreadable: Collection[str]
) -> list[RowMapping]:
    """List the functions that are archived or unreadable while a debounce has an event parked."""
    missing = or_(FunctionRow.archived_at.is_not(None), FunctionRow.id.in_(list(unreadable)))
    query = (
        select(FunctionRow.slug, FunctionRow.archived_at, _debounces.c.fires_at)
        .join(FunctionRow, FunctionRow.id == _debounces.c.function_id)
        .where(_debounces.c.event_id == event_id, missing)
        .limit(MOST_ITEMS)
    )
    return list(tx.execute(query).mappings())


def batches(tx: Connection, event_id: str) -> list[RowMapping]:
    """List the open event batches with an event: the bucket's row, and when the event was added."""
    query = (
        select(_batches, _members.c.added_at)
        .join(_items, _items.c.run_id == _members.c.batch_id)
        .join(_batches, _batches.c.key == _items.c.opts)
        .where(
            _members.c.event_id == event_id,
            _items.c.kind == ItemKind.BATCH.value,
            _batches.c.batch_id == _members.c.batch_id,
        )
        .limit(MOST_ITEMS)
    )
    return list(tx.execute(query).mappings())
