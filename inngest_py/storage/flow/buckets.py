"""Buckets of rate limits and throttles: one number each (generic cell rate algorithm).

A bucket whose number is a time in the past is the same as no bucket, so old ones may be deleted at
any time. Groups of slots use the rows as locks.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import BigInteger, Connection, Index, Text, bindparam, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, BigId, table_of
from ..db.row_types import ColumnTypes
from ..db.session import skip_locked
from ..db.statements import ManyRows, Upsert


class Bucket(Base):
    """A bucket; `arrival_ns` is the theoretical arrival time of its next event, from 1970."""

    __tablename__ = "buckets"
    # serves forget()
    __table_args__ = (Index("buckets_arrival_idx", "arrival_ns"),)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    arrival_ns: Mapped[int] = mapped_column(BigId)


_buckets = table_of(Bucket)
_columns: ColumnTypes = {"key": Text(), "arrival_ns": BigInteger()}
LOCK = Upsert(
    _buckets,
    _columns,
    "key",
    lambda excluded: {"arrival_ns": _buckets.c.arrival_ns},
    returning=["key", "arrival_ns"],
)


def lock(tx: Connection, keys: Sequence[str]) -> dict[str, int]:
    """Lock buckets in sorted order, creating missing ones; return their numbers."""
    rows = LOCK.run(tx, [(key, 0) for key in sorted(set(keys))])
    return {row[0]: row[1] for row in rows}


_put = ManyRows(
    _columns,
    lambda v: update(_buckets).where(_buckets.c.key == v.key).values(arrival_ns=v.arrival_ns),
)


def put(tx: Connection, arrivals: Mapping[str, int]) -> None:
    """Write the numbers of buckets that this transaction has locked."""
    if arrivals:
        _put.later(tx, sorted(arrivals.items()))


def busy(tx: Connection, prefix: str, now_ns: int) -> list[str]:
    """List the buckets whose names begin with `prefix` and whose numbers are ahead of now.

    Reads the whole table: only for changes that people make.
    """
    found = select(_buckets.c.key).where(
        _buckets.c.key.startswith(prefix), _buckets.c.arrival_ns > now_ns
    )
    return list(tx.execute(found).scalars())


def forget(tx: Connection, now_ns: int, limit: int) -> int:
    """Delete buckets whose numbers are in the past, at most `limit`; skips locked ones."""
    idle = select(_buckets.c.key).where(_buckets.c.arrival_ns <= bindparam("now"))
    idle = skip_locked(tx, idle.limit(limit))
    gone = delete(_buckets).where(_buckets.c.key.in_(idle), _buckets.c.arrival_ns <= now_ns)
    return tx.execute(gone, {"now": now_ns}).rowcount
