"""Event batches: buckets with their open batches, and the events of each batch in order."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Index,
    Integer,
    RowMapping,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from ...domain.flow.batching import OpenBatch
from ..db.columns import Base, BigId, Timestamp, table_of
from ..db.row_types import RowValues
from ..db.statements import ManyRows, Upsert
from ..events.events import EventRow


class BatchBucket(Base):
    """A bucket and its open batch, whose timer is the queue item of kind `batch` named by its id.

    Nullable columns are null only within the transaction that makes the row.
    """

    __tablename__ = "batch_buckets"
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    function_id: Mapped[str] = mapped_column(Text)
    batch_id: Mapped[str | None] = mapped_column(Text)
    count: Mapped[int | None]
    size: Mapped[int | None] = mapped_column(BigId)
    due_at: Mapped[datetime | None] = mapped_column(Timestamp)


class BatchEvent(Base):
    """An event of a batch; `position` counts from 0 in the order of arrival."""

    __tablename__ = "batch_events"
    __table_args__ = (Index("batch_events_event_idx", "event_id"),)  # serves queries.run_list
    batch_id: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    event_id: Mapped[str] = mapped_column(Text)
    added_at: Mapped[datetime] = mapped_column(Timestamp)


_buckets = table_of(BatchBucket)
_members = table_of(BatchEvent)
_lock = Upsert(
    _buckets,
    {"key": Text(), "function_id": Text()},
    "key",
    lambda excluded: {"function_id": excluded.function_id},
    returning=["key", "batch_id", "count", "size", "due_at"],
)


def lock(tx: Connection, keys: Mapping[str, str]) -> dict[str, OpenBatch | None]:
    """Lock buckets (key → function id) in sorted order, creating missing rows."""
    found: dict[str, OpenBatch | None] = {}
    for row in _lock.run(tx, sorted(keys.items())):
        found[row.key] = None if row.batch_id is None else OpenBatch(*row[1:])
    return found


_time = DateTime(timezone=True)
_put = ManyRows(
    {
        "key": Text(),
        "batch_id": Text(),
        "count": Integer(),
        "size": BigInteger(),
        "due_at": _time,
    },
    lambda v: (
        update(_buckets)
        .where(_buckets.c.key == v.key)
        .values(batch_id=v.batch_id, count=v.count, size=v.size, due_at=v.due_at)
    ),
)


def put(tx: Connection, opened: Mapping[str, OpenBatch]) -> None:
    """Write the open batches of buckets that this transaction has locked."""
    if not opened:
        return
    rows: Sequence[tuple[object, ...]] = [
        (key, one.id, one.count, one.size, one.due_at) for key, one in sorted(opened.items())
    ]
    _put.later(tx, rows)


def remove(tx: Connection, keys: Iterable[str]) -> None:
    """Delete buckets that this transaction has locked and that have no open batch."""
    gone = sorted(keys)
    if gone:
        tx.execute(delete(_buckets).where(_buckets.c.key.in_(gone)))


def open_batch(tx: Connection, key: str) -> OpenBatch | None:
    """Lock a bucket and read its open batch; None when there is none."""
    columns = (_buckets.c.batch_id, _buckets.c.count, _buckets.c.size, _buckets.c.due_at)
    query = select(*columns).where(_buckets.c.key == key).with_for_update()
    row = tx.execute(query).first()
    return None if row is None else OpenBatch(*row)


def add(tx: Connection, rows: Sequence[RowValues]) -> None:
    """Write events into batches."""
    if rows:
        tx.execute(insert(_members), list(rows))


_payloads = (
    select(_members.c.batch_id, EventRow.payload)
    .join(EventRow, EventRow.id == _members.c.event_id)
    .where(_members.c.batch_id.in_(bindparam("batches", expanding=True)))
    .order_by(_members.c.batch_id, _members.c.position)
)


def payloads(tx: Connection, batch_ids: Sequence[str]) -> dict[str, list[str]]:
    """Read the events of batches, in order, by batch id."""
    found: dict[str, list[str]] = {}
    for row in tx.execute(_payloads, {"batches": list(batch_ids)}):
        found.setdefault(row[0], []).append(row[1])
    return found


def sizes(tx: Connection, batch_ids: Sequence[str]) -> dict[str, int]:
    """Say how many characters the events of batches have, by batch id."""
    query = select(_members.c.batch_id, func.sum(func.length(EventRow.payload)))
    query = query.join(EventRow, EventRow.id == _members.c.event_id)
    query = query.where(_members.c.batch_id.in_(batch_ids)).group_by(_members.c.batch_id)
    return {row[0]: int(row[1]) for row in tx.execute(query)}


def first_event(tx: Connection, batch_id: str) -> RowMapping | None:
    """Find the first event of a batch that is not deleted; None when there is none."""
    query = select(table_of(EventRow)).join(_members, EventRow.id == _members.c.event_id)
    query = query.where(_members.c.batch_id == batch_id).order_by(_members.c.position).limit(1)
    return tx.execute(query).mappings().first()
