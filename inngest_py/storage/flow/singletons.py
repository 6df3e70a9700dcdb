"""Singletons: which run holds a key, from the run's creation to its end."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, Text, delete, update
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, table_of
from ..db.statements import ManyRows, Upsert


class SingletonLock(Base):
    """A key's lock; `run_id` is null only within the transaction that makes the row."""

    __tablename__ = "singleton_locks"
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    run_id: Mapped[str | None] = mapped_column(Text)


_locks = table_of(SingletonLock)
_lock = Upsert(
    _locks,
    {"key": Text()},
    "key",
    lambda excluded: {"run_id": _locks.c.run_id},
    returning=["key", "run_id"],
)


def lock(tx: Connection, keys: Iterable[str]) -> dict[str, str | None]:
    """Lock keys in sorted order, creating missing rows; return the runs that hold them."""
    return {row[0]: row[1] for row in _lock.run(tx, [(key,) for key in sorted(set(keys))])}


_put = ManyRows(
    {"key": Text(), "run_id": Text()},
    lambda v: update(_locks).where(_locks.c.key == v.key).values(run_id=v.run_id),
)


def put(tx: Connection, holders: Mapping[str, str]) -> None:
    """Write which runs hold the keys that this transaction has locked."""
    if holders:
        _put.later(tx, sorted(holders.items()))


def remove(tx: Connection, keys: Iterable[str]) -> None:
    """Free keys that this transaction has locked."""
    gone = sorted(keys)
    if gone:
        tx.execute(delete(_locks).where(_locks.c.key.in_(gone)))
