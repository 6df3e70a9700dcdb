"""Queue items: work due at a time. The row is the truth; a Celery message is a hint."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict, Unpack

from sqlalchemy import (
    CheckConstraint,
    Connection,
    DateTime,
    Index,
    Integer,
    Text,
    bindparam,
    case,
    delete,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from ...domain.errors import LeaseLost
from ...domain.runs.items import HINT_GRACE, Item, ItemKind, ItemState
from ..db.columns import Base, BigId, Json, Timestamp, table_of
from ..db.row_types import ColumnTypes, RowValues
from ..db.statements import EachRow, InsertNew, ManyRows

_READY = text("state = 'ready'")
_LEASED = text("state = 'leased'")
_RANKED = text("state = 'ready' AND rank_us IS NOT NULL")
_WAITING = text("state = 'waiting'")
_PROMISED = text("state = 'ready' AND gate IS NOT NULL")
_ANSWERED = text("answer IS NOT NULL")
_SENT = text("task IS NOT NULL")
_HELD = {name: text(f"state = 'leased' AND {name} IS NOT NULL") for name in ("slot1", "slot2")}


class QueueItem(Base):
    """One request or timer; `hint_at` is when upkeep should next hint at it."""

    __tablename__ = "queue_items"
    __table_args__ = (
        CheckConstraint("(state = 'leased') = (lease_id IS NOT NULL)", name="lease"),
        # serves backlog.due() and backlog.next_due()
        Index(
            "queue_items_hint_idx", "hint_at", "id", postgresql_where=_READY, sqlite_where=_READY
        ),
        # serves leases.free_lapsed()
        Index(
            "queue_items_lease_idx",
            "lease_until",
            postgresql_where=_LEASED,
            sqlite_where=_LEASED,
        ),
        # serves backlog.due(): items with a rank, in its order
        Index(
            "queue_items_rank_idx", "rank_us", "id", postgresql_where=_RANKED, sqlite_where=_RANKED
        ),
        # serves waiting_lines.first()
        Index(
            "queue_items_gate_idx",
            "gate",
            "rank_us",
            "id",
            postgresql_where=_WAITING,
            sqlite_where=_WAITING,
        ),
        # serve concurrency_slots.lock() and see()
        *(
            Index(f"queue_items_{name}_idx", name, postgresql_where=held, sqlite_where=held)
            for name, held in _HELD.items()
        ),
        Index(
            "queue_items_promised_idx",
            "gate",
            postgresql_where=_PROMISED,
            sqlite_where=_PROMISED,
        ),
        # serves pruning, which keeps the events that ended these waits
        Index("queue_items_answered_idx", "id", postgresql_where=_ANSWERED, sqlite_where=_ANSWERED),
        # serves sent_tasks.of_app(); items of SDKs are not in it
        Index("queue_items_task_idx", "worker", "id", postgresql_where=_SENT, sqlite_where=_SENT),
        # serves of_ended_runs.drop_runs() and of_run()
        Index("queue_items_run_idx", "run_id"),
        # makes adding a job that is already queued a no-op
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
    answer: Mapped[str | None] = mapped_column(Json)  # what has ended the wait
    # what is known of a Celery task that has been sent: see domain.steps.tasks
    task: Mapped[str | None] = mapped_column(Json)
    # the place in the waiting line: see domain.flow.priority.rank_us()
    rank_us: Mapped[int | None] = mapped_column(BigId)
    # its waiting line: the throttle's bucket, the group of slots, or the app that is at its share
    gate: Mapped[str | None] = mapped_column(Text)
    # the groups of slots in which its request counts while it is leased: see concurrency_slots
    slot1: Mapped[str | None] = mapped_column(Text)
    slot2: Mapped[str | None] = mapped_column(Text)
    lease_id: Mapped[str | None] = mapped_column(Text)  # fences late writers: see finish()
    lease_until: Mapped[datetime | None] = mapped_column(Timestamp)
    worker: Mapped[str | None] = mapped_column(Text)
    # the number of the item's last request; each of its requests has another
    generation: Mapped[int] = mapped_column(server_default=text("0"))
    # how many leases have lapsed since the last attempt that ended
    lapses: Mapped[int] = mapped_column(server_default=text("0"))


class SlotColumns(TypedDict, total=False):
    """Columns of an item that limits of concurrency set."""

    rank_us: int | None
    slot1: str | None
    slot2: str | None


class ItemColumns(SlotColumns, total=False):
    """Columns of an item that its writer may set; they mean what they mean in QueueItem."""

    hint_at: datetime
    attempt: int
    step: str | None
    step_name: str | None
    current: int | None
    opts: str | None
    answer: str | None
    gate: str | None
    lease_id: str | None
    lease_until: datetime | None
    worker: str | None
    generation: int
    state: str


class ItemRow(ItemColumns):
    """A new item, as new_row() makes it."""

    id: str
    kind: str
    run_id: str
    job_key: str
    queued_at: datetime
    due_at: datetime


_items = table_of(QueueItem)

_add = InsertNew(_items, "id", keys=["job_key"])
_put = InsertNew(_items, keys=["job_key"])
# columns that a given row may leave out: in an INSERT all rows need the same columns
_EMPTY: RowValues = dict.fromkeys(column.name for column in _items.c if column.nullable)
_EMPTY["attempt"] = 0


def new_row(
    item_id: str,
    kind: ItemKind,
    run_id: str,
    job_key: str,
    *,
    due_at: datetime,
    now: datetime,
    **columns: Unpack[ItemColumns],
) -> ItemRow:
    """Make the row of a new item that is ready; `columns` adds to its columns or replaces them.

    Upkeep hints at it when it comes due. If it is due now, its writer sends the hint, and upkeep
    leaves it time to arrive.
    """
    row: ItemRow = {
        "id": item_id,
        "kind": kind.value,
        "run_id": run_id,
        "job_key": job_key,
        "state": ItemState.READY.value,
        "queued_at": now,
        "due_at": due_at,
        "hint_at": due_at if due_at > now else now + HINT_GRACE,
        "attempt": 0,
    }
    return {**row, **columns} if columns else row


def add(tx: Connection, rows: Sequence[ItemRow]) -> set[str]:
    """Write items; return the ids of those whose job was not queued already."""
    if not rows:
        return set()
    return {row[0] for row in _add.fresh(tx, [{**_EMPTY, **row} for row in rows])}


def put(tx: Connection, rows: Sequence[ItemRow]) -> None:
    """Write items, except those whose job is queued already."""
    if rows:
        _put.run(tx, [{**_EMPTY, **row} for row in rows])


_held: ColumnTypes = {"item": Text(), "lease": Text()}
_finish = EachRow(
    _held,
    lambda v: (
        delete(_items)
        .where(_items.c.id == v.item, _items.c.lease_id == v.lease)
        .returning(_items.c.id)
    ),
)


def finish(tx: Connection, items: Sequence[Item]) -> None:
    """Delete leased items, in the transaction that writes their results.

    Raises LeaseLost, which rolls the results back, when one of the leases is lost.
    """
    if not items:
        return
    gone = _finish.run(tx, [(item.id, item.lease_id) for item in items])
    if len(gone.all()) < len(items):
        raise LeaseLost


_continue = EachRow(
    {**_held, "job_key": Text(), "current": Integer(), "now": DateTime(timezone=True)},
    lambda v: (
        update(_items)
        .where(_items.c.id == v.item, _items.c.lease_id == v.lease)
        .values(
            kind=ItemKind.EDGE.value,
            job_key=v.job_key,
            current=v.current,
            queued_at=v.now,
            due_at=v.now,
            attempt=0,
            step=None,
            step_name=None,
            opts=None,
            gate=None,
            generation=_items.c.generation + 1,
            lapses=0,
        )
        .returning(_items.c.id)
    ),
)


def continue_in_place(
    tx: Connection, discoveries: Sequence[tuple[Item, str, int, datetime]]
) -> list[Item]:
    """Make leased items the next discoveries of their runs, under the same leases.

    Each of `discoveries` is the item, the discovery's job key, which must not be queued yet, the
    length of the stack, and the time. Returns the new items. Raises LeaseLost as finish() does.
    """
    if not discoveries:
        return []
    rows = [(item.id, item.lease_id, key, current, now) for item, key, current, now in discoveries]
    if len(_continue.run(tx, rows).all()) < len(discoveries):
        raise LeaseLost
    return [
        Item(
            id=item.id,
            kind=ItemKind.EDGE,
            run_id=item.run_id,
            lease_id=item.lease_id,
            attempt=0,
            queued_at=now,
            due_at=now,
            step=None,
            step_name=None,
            current=current,
            opts=None,
            generation=item.generation + 1,
        )
        for item, _, current, now in discoveries
    ]


_answer = ManyRows(
    {
        "item": Text(),
        "answer": Text(),
        "due_at": DateTime(timezone=True),
        "hint_at": DateTime(timezone=True),
    },
    lambda v: (
        update(_items)
        .where(_items.c.id == v.item)
        .values(answer=v.answer, due_at=v.due_at, hint_at=v.hint_at)
        .returning(_items.c.id)
    ),
)


def end_waits(
    tx: Connection, answers: Sequence[tuple[str, str]], now: datetime, hint_at: datetime
) -> list[str]:
    """Write what has ended waits on their items, leased or not, and make the items due.

    Returns the ids of items that still exist. Call it only for waits that this transaction has
    consumed.
    """
    if not answers:
        return []
    rows = [(item_id, given, now, hint_at) for item_id, given in answers]
    return list(_answer.run(tx, rows).scalars())


_answer_of = select(_items.c.answer).where(_items.c.id == bindparam("item"))


def read_wait_end(tx: Connection, item_id: str) -> str | None:
    """Read what has ended a wait, as its item stores it; None while nothing has."""
    found: str | None = tx.execute(_answer_of, {"item": item_id}).scalar()
    return found


def wait_longer(tx: Connection, item: Item, due_at: datetime, opts: str) -> bool:
    """Give a wait's leased item back, to be due later; say whether the wait has ended meanwhile.

    The item of a wait that has ended stays due. Raises LeaseLost as finish() does.
    """
    is_open, later = _items.c.answer.is_(None), literal(due_at, Timestamp())
    moved = tx.execute(
        update(_items)
        .where(_items.c.id == item.id, _items.c.lease_id == item.lease_id)
        .values(
            state=ItemState.READY.value,
            lease_id=None,
            lease_until=None,
            worker=None,
            due_at=case((is_open, later), else_=_items.c.due_at),
            hint_at=case((is_open, later), else_=_items.c.hint_at),
            opts=opts,
            lapses=0,
        )
        .returning(_items.c.answer)
    ).first()
    if moved is None:
        raise LeaseLost
    return moved.answer is not None


def note_progress(tx: Connection, item: Item, opts: str) -> None:
    """Write a leased item's progress into its `opts`. Raises LeaseLost as finish() does."""
    moved = tx.execute(
        update(_items)
        .where(_items.c.id == item.id, _items.c.lease_id == item.lease_id)
        .values(opts=opts)
    )
    if not moved.rowcount:
        raise LeaseLost


def retry_later(tx: Connection, item: Item, due_at: datetime, hint_at: datetime) -> None:
    """Give a leased item back for its next attempt. Raises LeaseLost as finish() does."""
    moved = tx.execute(
        update(_items)
        .where(_items.c.id == item.id, _items.c.lease_id == item.lease_id)
        .values(
            state=ItemState.READY.value,
            lease_id=None,
            lease_until=None,
            worker=None,
            attempt=_items.c.attempt + 1,
            queued_at=due_at,
            due_at=due_at,
            hint_at=hint_at,
            gate=None,  # it has been let in
            lapses=0,
        )
    )
    if not moved.rowcount:
        raise LeaseLost


FREED = {
    "state": ItemState.READY.value,
    "lease_id": None,
    "lease_until": None,
    "worker": None,
}
