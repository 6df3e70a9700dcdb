"""Queue items: work due at a time. The row is the truth; a Celery message is a hint."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Connection,
    Index,
    Text,
    bindparam,
    delete,
    func,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from ..domain.errors import LeaseLost
from ..domain.items import Item, ItemKind, ItemState
from .base import Base, Json, Timestamp, table_of
from .session import InsertNew, skip_locked

_READY = text("state = 'ready'")
_LEASED = text("state = 'leased'")


class QueueItem(Base):
    """One request or timer; `hint_at` is when upkeep should next hint at it."""

    __tablename__ = "queue_items"
    __table_args__ = (
        CheckConstraint("(state = 'leased') = (lease_id IS NOT NULL)", name="lease"),
        # serves due() and next_due()
        Index(
            "queue_items_hint_idx", "hint_at", "id", postgresql_where=_READY, sqlite_where=_READY
        ),
        # serves lapsed()
        Index(
            "queue_items_lease_idx",
            "lease_until",
            postgresql_where=_LEASED,
            sqlite_where=_LEASED,
        ),
        # serves drop_run() and of_run()
        Index("queue_items_run_idx", "run_id"),
        # makes a job that is already queued a no-op
        Index("queue_items_job_key", "job_key", unique=True),
    )
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    run_id: Mapped[str] = mapped_column(Text)
    job_key: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    queued_at: Mapped[datetime] = mapped_column(Timestamp)
    due_at: Mapped[datetime] = mapped_column(Timestamp)
    hint_at: Mapped[datetime] = mapped_column(Timestamp)
    attempt: Mapped[int] = mapped_column(default=0)
    step: Mapped[str | None] = mapped_column(Text)
    step_name: Mapped[str | None] = mapped_column(Text)
    current: Mapped[int | None]
    opts: Mapped[str | None] = mapped_column(Json)
    lease_id: Mapped[str | None] = mapped_column(Text)  # fences late writers: see finish()
    lease_until: Mapped[datetime | None] = mapped_column(Timestamp)
    worker: Mapped[str | None] = mapped_column(Text)


_items = table_of(QueueItem)
_columns = (
    _items.c.id,
    _items.c.kind,
    _items.c.run_id,
    _items.c.lease_id,
    _items.c.attempt,
    _items.c.queued_at,
    _items.c.due_at,
    _items.c.step,
    _items.c.step_name,
    _items.c.current,
    _items.c.opts,
)


_add = InsertNew(_items, "id", keys=["job_key"])


def add(tx: Connection, rows: Sequence[dict[str, Any]]) -> set[str]:
    """Write items; say the ids of those whose job was not queued already."""
    if not rows:
        return set()
    return _add.run(tx, rows)


_claim = (
    update(_items)
    .where(
        _items.c.id.in_(bindparam("ids", expanding=True)),
        _items.c.state == ItemState.READY.value,
        _items.c.due_at <= bindparam("now"),
    )
    .values(
        state=ItemState.LEASED.value,
        lease_id=bindparam("lease"),
        lease_until=bindparam("until"),
        worker=bindparam("holder"),
    )
    .returning(*_columns)
)


def claim(
    tx: Connection,
    ids: Sequence[str],
    *,
    lease_id: str,
    now: datetime,
    lease: timedelta,
    worker: str,
) -> list[Item]:
    """Lease those of the items that are ready and due; the others are somebody else's."""
    rows = tx.execute(
        _claim,
        {"ids": list(ids), "now": now, "lease": lease_id, "until": now + lease, "holder": worker},
    )
    return [_item(row) for row in rows]


def _item(row: Any) -> Item:
    return Item(
        id=row.id,
        kind=ItemKind(row.kind),
        run_id=row.run_id,
        lease_id=row.lease_id,
        attempt=row.attempt,
        queued_at=row.queued_at,
        due_at=row.due_at,
        step=row.step,
        step_name=row.step_name,
        current=row.current,
        opts=row.opts,
    )


_finish = (
    delete(_items)
    .where(_items.c.id == bindparam("item"), _items.c.lease_id == bindparam("lease"))
    .returning(_items.c.id)
)


def finish(tx: Connection, item: Item) -> None:
    """Remove a leased item, in the transaction that writes its results.

    Raises LeaseLost, which rolls those results back, when the lease has moved on.
    """
    gone = tx.execute(_finish, {"item": item.id, "lease": item.lease_id})
    if gone.scalar() is None:
        raise LeaseLost


def retry_later(tx: Connection, item: Item, due_at: datetime) -> None:
    """Give a leased item back for its next attempt. Raises LeaseLost as finish() does."""
    moved = tx.execute(
        update(_items)
        .where(_items.c.id == item.id, _items.c.lease_id == item.lease_id)
        .values(
            state=ItemState.READY.value,
            lease_id=None,
            lease_until=None,
            worker=None,
            attempt=item.attempt + 1,
            queued_at=due_at,
            due_at=due_at,
            hint_at=due_at,
        )
    )
    if not moved.rowcount:
        raise LeaseLost


def extend(tx: Connection, leases: Iterable[str], until: datetime) -> None:
    """Prolong the leases that a process still works on."""
    tx.execute(update(_items).where(_items.c.lease_id.in_(list(leases))).values(lease_until=until))


_FREED = {
    "state": ItemState.READY.value,
    "lease_id": None,
    "lease_until": None,
    "worker": None,
}


def release(tx: Connection, worker: str, now: datetime) -> int:
    """Give back every lease of a worker that stops; say how many there were."""
    mine = (_items.c.state == ItemState.LEASED.value, _items.c.worker == worker)
    freed = update(_items).where(*mine).values(hint_at=now, **_FREED)
    return tx.execute(freed).rowcount


def release_all(tx: Connection, now: datetime) -> int:
    """Give back every lease: for a server that knows it is the only process on this database."""
    freed = update(_items).where(_items.c.state == ItemState.LEASED.value)
    return tx.execute(freed.values(hint_at=now, **_FREED)).rowcount


def free_lapsed(tx: Connection, now: datetime, limit: int) -> int:
    """Make items whose lease has lapsed ready again; locks them, passing over locked ones."""
    lapsed = skip_locked(
        tx,
        select(_items.c.id)
        .where(_items.c.state == ItemState.LEASED.value, _items.c.lease_until < now)
        .order_by(_items.c.lease_until)
        .limit(limit),
    )
    freed = update(_items).where(_items.c.id.in_(lapsed)).values(hint_at=now, **_FREED)
    return tx.execute(freed).rowcount


def due(
    tx: Connection, now: datetime, limit: int, again_at: datetime
) -> list[tuple[str, ItemKind]]:
    """Take ready items that are due for a hint, and set when they may be hinted at again."""
    ids = skip_locked(
        tx,
        select(_items.c.id)
        .where(_items.c.state == ItemState.READY.value, _items.c.hint_at <= now)
        .order_by(_items.c.hint_at, _items.c.id)
        .limit(limit),
    )
    taken = (
        update(_items)
        .where(_items.c.id.in_(ids), _items.c.state == ItemState.READY.value)
        .values(hint_at=again_at)
        .returning(_items.c.id, _items.c.kind)
    )
    return [(row.id, ItemKind(row.kind)) for row in tx.execute(taken)]


_next_due = (
    select(_items.c.hint_at)
    .where(_items.c.state == ItemState.READY.value)
    .order_by(_items.c.hint_at)
    .limit(1)
)


def next_due(tx: Connection) -> datetime | None:
    """Say when the next ready item wants a hint; None when nothing waits."""
    return tx.execute(_next_due).scalar()


_drop_run = delete(_items).where(_items.c.run_id == bindparam("run"))


def drop_run(tx: Connection, run_id: str) -> None:
    """Delete what is queued for a run that has ended, leased items included."""
    tx.execute(_drop_run, {"run": run_id})


def of_run(tx: Connection, run_id: str) -> list[Any]:
    """List the items queued for a run, by due time."""
    query = select(_items).where(_items.c.run_id == run_id).order_by(_items.c.due_at)
    return list(tx.execute(query).mappings())


def backlog(tx: Connection, now: datetime) -> tuple[int, datetime | None, int]:
    """Count what is due and not yet held, with the oldest due time, and what is leased."""
    ready = select(func.count(), func.min(_items.c.due_at)).where(
        _items.c.state == ItemState.READY.value,
        _items.c.hint_at <= now + timedelta(seconds=10),
        _items.c.due_at <= now,
    )
    count, oldest = tx.execute(ready).one()
    leased = select(func.count()).where(_items.c.state == ItemState.LEASED.value)
    return count, oldest, tx.execute(leased).scalar_one()


def held(tx: Connection, worker: str) -> int:
    """Count the leases of a worker."""
    query = select(func.count()).where(
        _items.c.state == ItemState.LEASED.value, _items.c.worker == worker
    )
    return tx.execute(query).scalar_one()
