"""Tasks that a Celery app has got: their items are leased to the app until they must have ended."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    DateTime,
    Index,
    Integer,
    Text,
    and_,
    bindparam,
    delete,
    false,
    func,
    not_,
    or_,
    select,
    true,
    type_coerce,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from ...domain.runs.items import CELERY, Item, ItemKind, ItemState
from ...domain.values import canonical
from ..db.columns import Base, Json, Timestamp, table_of
from ..db.dialects import is_sqlite
from ..db.row_types import Record, Records
from ..db.statements import EachRow, InsertNew, PerRow, given
from .claiming import item_of
from .queue_items import QueueItem


class TaskFailure(Base):
    """Why an attempt of a task failed, as its worker said in an event; kept for some minutes."""

    __tablename__ = "task_failures"
    task_id: Mapped[str] = mapped_column(Text, primary_key=True)
    error: Mapped[str] = mapped_column(Json)
    failed_at: Mapped[datetime] = mapped_column(Timestamp)
    # serves forget_failures()
    __table_args__ = (Index("task_failures_failed_idx", "failed_at"),)


class TaskRevocation(Base):
    """A task of a run that has ended: the app's workers are to drop it."""

    __tablename__ = "task_revocations"
    task_id: Mapped[str] = mapped_column(Text, primary_key=True)
    app_id: Mapped[str] = mapped_column(Text)
    # kill it where it runs
    terminate: Mapped[bool] = mapped_column(default=False, server_default=false())
    # serves revocations()
    __table_args__ = (Index("task_revocations_app_idx", "app_id"),)


_items, _failures = table_of(QueueItem), table_of(TaskFailure)
_revocations = table_of(TaskRevocation)
_revoke = InsertNew(_revocations, keys=["task_id"])
_note = InsertNew(_failures, keys=["task_id"])


class Sent(NamedTuple):
    """A task that was sent: its item, its step, its call, and what is known of it (JSON)."""

    item: Item
    step: str
    step_name: str
    opts: str
    app_id: str
    task: str
    until: datetime


_TEXTS = ("item", "lease", "step", "step_name", "opts", "task", "worker")
_hand_over = EachRow(
    {
        **{name: Text() for name in _TEXTS},
        "until": DateTime(timezone=True),
    },
    lambda v: (
        update(_items)
        .where(_items.c.id == v.item, _items.c.lease_id == v.lease)
        .values(
            kind=ItemKind.TASK.value,
            step=v.step,
            step_name=v.step_name,
            opts=v.opts,
            task=v.task,
            worker=v.worker,
            lease_until=v.until,
            gate=None,
        )
        .returning(_items.c.id)
    ),
)


def hand_over(tx: Connection, sent: Sequence[Sent]) -> set[str]:
    """Lease items to the app under the same lease ids; return the ids of those still leased."""
    rows = [
        (
            *(one.item.id, one.item.lease_id, one.step, one.step_name, one.opts, one.task),
            *(CELERY + one.app_id, one.until),
        )
        for one in sent
    ]
    return {row.id for row in _hand_over.run(tx, rows)} if rows else set()


_columns = [column.label(f"item_{column.name}") for column in _items.c]
_all_leased = select(*_columns).where(_items.c.state == ItemState.LEASED.value)
_leased = _all_leased.where(_items.c.id.in_(bindparam("ids", expanding=True)))
_leased_one = PerRow(_all_leased.where(_items.c.id == given(["item"])["item"]), ["item"])


def leased(tx: Connection, ids: Sequence[str]) -> list[tuple[Item, str | None]]:
    """Read leased items, each with what is known of its task (JSON), None when it was not sent."""
    if is_sqlite(tx):
        found: Records = _leased_one.run(tx, [(item_id,) for item_id in ids])
    else:
        found = tx.execute(_leased, {"ids": list(ids)})
    return [(item_of(row), row.item_task) for row in found]


_take = EachRow(
    {
        **{name: Text() for name in ("item", "lease", "worker")},
        "attempt": Integer(),
        "until": DateTime(timezone=True),
    },
    lambda v: (
        update(_items)
        .where(
            _items.c.id == v.item,
            _items.c.attempt == v.attempt,
            _items.c.state != ItemState.LEASED.value,
            _items.c.kind.in_((ItemKind.START.value, ItemKind.TASK.value)),
        )
        .values(
            state=ItemState.LEASED.value,
            lease_id=v.lease,
            lease_until=v.until,
            worker=v.worker,
            gate=None,
        )
        .returning(_items.c.id)
    ),
)


def take_free(
    tx: Connection,
    attempts: Sequence[tuple[str, int]],
    lease_id: str,
    until: datetime,
    worker: str,
) -> int:
    """Lease items that nobody has leased, given as ids and attempts; return how many there were."""
    rows = [(item_id, lease_id, worker, attempt, until) for item_id, attempt in attempts]
    return len(_take.run(tx, rows).all()) if rows else 0


_of_app = (
    select(_items.c.id, _items.c.lease_id, _items.c.attempt, _items.c.task)
    .where(_items.c.worker == bindparam("worker"), _items.c.task.is_not(None))
    .where(_items.c.state == ItemState.LEASED.value)
    .order_by(_items.c.id)
    .limit(bindparam("limit"))
)
_known = type_coerce(_items.c.task, Text)


def _only_waits(queue: str) -> ColumnElement[bool]:
    """Say that a task is in a queue, as far as is known: JSON as SentTask.to_json() writes it."""
    of_queue = canonical.dumps({"queue": queue}).decode()[1:-1]
    seen = or_(_known.contains('"host":'), _known.contains('"missed":'))
    return and_(_known.contains(of_queue, autoescape=True), not_(seen))


class AppsTask(NamedTuple):
    """A task that an app has: its item, lease and attempt, and what is known of it (JSON)."""

    item_id: str
    lease_id: str
    attempt: int
    task: str


def of_app(
    tx: Connection,
    app_id: str,
    limit: int,
    *,
    busy: Sequence[str] = (),
    soon: datetime | None = None,
) -> list[AppsTask]:
    """List the tasks that an app has, oldest first.

    Leaves out those of the queues in `busy` that no worker has been seen to hold, unless their
    leases end before `soon`.
    """
    known = and_(true(), *(not_(_only_waits(queue)) for queue in busy))
    query = _of_app.where(known if soon is None else or_(known, _items.c.lease_until <= soon))
    found = tx.execute(query, {"worker": CELERY + app_id, "limit": limit})
    return [AppsTask(*row) for row in found]


_update = EachRow(
    {"item": Text(), "lease": Text(), "task": Text(), "until": DateTime(timezone=True)},
    lambda v: (
        update(_items)
        .where(_items.c.id == v.item, _items.c.lease_id == v.lease)
        .values(task=v.task, lease_until=func.coalesce(v.until, _items.c.lease_until))
        .returning(_items.c.id)
    ),
)


def note(tx: Connection, changes: Sequence[tuple[str, str, str, datetime | None]]) -> None:
    """Store what is known now of tasks: item id, lease id, JSON, and the lease's end or None."""
    if changes:
        _update.run(tx, changes).all()


def known(tx: Connection, item: Item) -> str | None:
    """Read what is known of an item's task; None when none was sent."""
    query = select(_items.c.task).where(_items.c.id == item.id)
    found: str | None = tx.execute(query).scalar()
    return found


def note_failures(tx: Connection, failures: Sequence[dict[str, object]]) -> None:
    """Store why tasks failed: rows of TaskFailure."""
    if failures:
        _note.run(tx, failures)


_errors = select(_failures.c.task_id, _failures.c.error).where(
    _failures.c.task_id.in_(bindparam("ids", expanding=True))
)


def failures(tx: Connection, task_ids: Sequence[str]) -> dict[str, str]:
    """Read why tasks failed (JSON), by their ids; those of which nothing is known are missing."""
    if not task_ids:
        return {}
    return {row.task_id: row.error for row in tx.execute(_errors, {"ids": list(task_ids)})}


def forget_failures(tx: Connection, before: datetime, limit: int) -> int:
    """Delete what was stored before a time; return how much it was."""
    old = select(_failures.c.task_id).where(_failures.c.failed_at < before).limit(limit)
    return tx.execute(delete(_failures).where(_failures.c.task_id.in_(old))).rowcount


class Revoked(NamedTuple):
    """A task to be revoked: its id, its app's, and whether it is killed where it runs."""

    task_id: str
    app_id: str
    terminate: bool


def revoke(tx: Connection, tasks: Sequence[Revoked]) -> None:
    """Have tasks revoked."""
    if tasks:
        _revoke.run(tx, [one._asdict() for one in tasks])


def revocations(tx: Connection, app_id: str, limit: int) -> list[Revoked]:
    """List the tasks that an app's workers are to drop."""
    query = select(*(_revocations.c[name] for name in Revoked._fields))
    found = tx.execute(query.where(_revocations.c.app_id == app_id).limit(limit))
    return [Revoked(*row) for row in found]


def forget_revocations(tx: Connection, task_ids: Sequence[str]) -> None:
    """Delete what the workers have been told."""
    tx.execute(delete(_revocations).where(_revocations.c.task_id.in_(list(task_ids))))


_of_runs = select(_items.c.id, _items.c.attempt, _items.c.run_id).where(
    _items.c.run_id.in_(bindparam("runs", expanding=True)),
    _items.c.kind.in_((ItemKind.START.value, ItemKind.TASK.value)),
    _items.c.state == ItemState.LEASED.value,
)


def of_runs(tx: Connection, run_ids: Sequence[str]) -> Sequence[Record]:
    """List the tasks of runs that are with their apps: item, attempt and run."""
    return tx.execute(_of_runs, {"runs": list(run_ids)}).all()
