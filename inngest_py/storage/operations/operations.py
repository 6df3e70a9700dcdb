"""Operations and what became of their items: runs that they changed, events that they replayed.

A chunk of items and the progress are written in one transaction, under the lock of the operation's
row and fenced by its lease. That row is locked before the rows of runs, never after them.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import (
    Boolean,
    Connection,
    Float,
    Index,
    RowMapping,
    Text,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from ...domain.operations.operations import OPEN, State
from ..db.columns import Base, Json, Timestamp, table_of
from ..db.row_types import RowValues
from ..db.session import skip_locked
from ..db.statements import Insert

_RUNNING = text("state = 'running'")
_HAS_RUN = text("run_id IS NOT NULL")


class OperationRow(Base):
    """An operation: `cursor` is the last id looked at, `due_at` when its next chunk may begin.

    While a worker has a chunk, `lease` is its fence, and `due_at` is when that lapses. Both times
    are of the real clock. It works on what is older than `before`.
    """

    __tablename__ = "operations"
    # serves claim() and next_due()
    __table_args__ = (
        Index("operations_due_idx", "due_at", postgresql_where=_RUNNING, sqlite_where=_RUNNING),
    )
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    selection: Mapped[str] = mapped_column(Json)
    rate: Mapped[float | None] = mapped_column(Float)
    state: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)  # why it failed
    note: Mapped[str | None] = mapped_column(Text)  # what its reader has to know, as of events gone
    total: Mapped[int]  # when it began
    total_exact: Mapped[bool] = mapped_column(Boolean)
    succeeded: Mapped[int] = mapped_column(server_default=text("0"))
    skipped: Mapped[int] = mapped_column(server_default=text("0"))
    failed: Mapped[int] = mapped_column(server_default=text("0"))
    begun_by: Mapped[str] = mapped_column(Text)
    before: Mapped[datetime] = mapped_column(Timestamp)
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    ended_at: Mapped[datetime | None] = mapped_column(Timestamp)
    due_at: Mapped[datetime] = mapped_column(Timestamp)
    lease: Mapped[str | None] = mapped_column(Text)
    cursor: Mapped[str | None] = mapped_column(Text)


class OperationItemRow(Base):
    """What an operation did with a run or an event; `run_id` is the run that it made of it.

    The key keeps an operation from doing anything twice.
    """

    __tablename__ = "operation_items"
    # serves made_by() and the operation of a run
    __table_args__ = (
        Index(
            "operation_items_run_idx", "run_id", postgresql_where=_HAS_RUN, sqlite_where=_HAS_RUN
        ),
    )
    operation_id: Mapped[str] = mapped_column(Text, primary_key=True)
    item_id: Mapped[str] = mapped_column(Text, primary_key=True)
    run_id: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Timestamp)


_rows, _items = table_of(OperationRow), table_of(OperationItemRow)
_add_items = Insert(_items)
_running = _rows.c.state == State.RUNNING.value


def add(tx: Connection, row: RowValues) -> None:
    """Write an operation."""
    tx.execute(insert(_rows).values(row))


def next_due(tx: Connection) -> datetime | None:
    """Say when the next chunk of any operation may begin; None when none is running."""
    query = select(_rows.c.due_at).where(_running).order_by(_rows.c.due_at).limit(1)
    found: datetime | None = tx.execute(query).scalar()
    return found


def claim(tx: Connection, now: datetime, lease: str, until: datetime) -> RowMapping | None:
    """Lease the running operation that is due first; return its row as it was before.

    None when none is due, or when others have claimed all.
    """
    query = select(_rows).where(_running, _rows.c.due_at <= now)
    query = query.order_by(_rows.c.due_at, _rows.c.id).limit(1)
    row = tx.execute(skip_locked(tx, query)).mappings().first()
    if row is not None:
        leased = update(_rows).where(_rows.c.id == row["id"])
        tx.execute(leased.values(lease=lease, due_at=until))
    return row


def lock(tx: Connection, operation_id: str, lease: str) -> RowMapping | None:
    """Lock an operation for a chunk; None if the lease is lost or it runs no longer."""
    mine = (_rows.c.id == operation_id, _rows.c.lease == lease, _running)
    return tx.execute(select(_rows).where(*mine).with_for_update()).mappings().first()


def move(tx: Connection, row: RowMapping, values: RowValues, counts: dict[str, int]) -> None:
    """Write progress and give the lease back, under the lock of lock()."""
    more = {name: _rows.c[name] + number for name, number in counts.items()}
    changed = update(_rows).where(_rows.c.id == row["id"], _rows.c.lease == row["lease"], _running)
    tx.execute(changed.values({"lease": None, **values, **more}))


def change(tx: Connection, operation_id: str, values: RowValues) -> bool:
    """Change an operation that has not ended; False if it has ended or is not there."""
    open_states = [state.value for state in OPEN]
    mine = (_rows.c.id == operation_id, _rows.c.state.in_(open_states))
    changed = update(_rows).where(*mine).values(values).returning(_rows.c.id)
    return tx.execute(changed).first() is not None


def seen(tx: Connection, operation_id: str, ids: Sequence[str]) -> set[str]:
    """Return which of some ids an operation has handled, and which runs of them it has made."""
    mine = _items.c.operation_id == operation_id
    handled = select(_items.c.item_id).where(mine, _items.c.item_id.in_(list(ids)))
    made = select(_items.c.run_id).where(mine, _items.c.run_id.in_(list(ids)))
    return set(tx.execute(handled).scalars()) | set(tx.execute(made).scalars())


def add_items(tx: Connection, rows: Sequence[RowValues]) -> None:
    """Write what became of items. The transaction fails with IntegrityError for a second time."""
    if rows:
        _add_items.run(tx, rows)


def forget(tx: Connection, before: datetime, limit: int) -> int:
    """Delete what became of at most `limit` items of operations that ended before a time.

    An operation without items left is deleted itself. Returns how many rows are gone.
    """
    old = select(_rows.c.id).where(_rows.c.ended_at < before).order_by(_rows.c.id).limit(1)
    operation_id = tx.execute(old).scalar()
    if operation_id is None:
        return 0
    some = select(_items.c.item_id).where(_items.c.operation_id == operation_id).limit(limit)
    mine = (_items.c.operation_id == operation_id, _items.c.item_id.in_(some))
    gone = tx.execute(delete(_items).where(*mine)).rowcount
    if gone < limit:
        gone += tx.execute(delete(_rows).where(_rows.c.id == operation_id)).rowcount
    return gone
