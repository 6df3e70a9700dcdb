"""Debounces: the last event of each key, parked until its run starts."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Index,
    RowMapping,
    Text,
    delete,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from ...domain.flow.debounce import Parked
from ..db.columns import Base, BigId, Timestamp, table_of
from ..db.statements import ManyRows, Upsert


class DebounceRow(Base):
    """The parked event of a key. Its timer is the queue item of kind `debounce` named by the key.

    Nullable columns are null only within the transaction that makes the row.
    """

    __tablename__ = "debounces"
    # serves pruning and why_waiting.parked_for_missing(): which debounces hold an event
    __table_args__ = (Index("debounces_event_idx", "event_id"),)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    function_id: Mapped[str] = mapped_column(Text)
    event_id: Mapped[str | None] = mapped_column(Text)
    ts_ms: Mapped[int | None] = mapped_column(BigId)
    first_at: Mapped[datetime | None] = mapped_column(Timestamp)
    fires_at: Mapped[datetime | None] = mapped_column(Timestamp)


_debounces = table_of(DebounceRow)
_lock = Upsert(
    _debounces,
    {"key": Text(), "function_id": Text()},
    "key",
    lambda excluded: {"function_id": excluded.function_id},
    returning=["key", "event_id", "ts_ms", "first_at", "fires_at"],
)


def lock(tx: Connection, keys: Mapping[str, str]) -> dict[str, Parked | None]:
    """Lock keys (key → function id) in sorted order, creating missing rows."""
    found: dict[str, Parked | None] = {}
    for row in _lock.run(tx, sorted(keys.items())):
        found[row.key] = None if row.event_id is None else Parked(*row[1:])
    return found


_time = DateTime(timezone=True)
_put = ManyRows(
    {
        "key": Text(),
        "event_id": Text(),
        "ts_ms": BigInteger(),
        "first_at": _time,
        "fires_at": _time,
    },
    lambda v: (
        update(_debounces)
        .where(_debounces.c.key == v.key)
        .values(event_id=v.event_id, ts_ms=v.ts_ms, first_at=v.first_at, fires_at=v.fires_at)
    ),
)


def put(tx: Connection, parked: Mapping[str, Parked]) -> None:
    """Write the parked events of keys that this transaction has locked."""
    if not parked:
        return
    rows: Sequence[tuple[object, ...]] = [
        (key, one.event_id, one.ts_ms, one.first_at, one.fires_at)
        for key, one in sorted(parked.items())
    ]
    _put.later(tx, rows)


def get(tx: Connection, key: str) -> RowMapping | None:
    """Lock a key and read its row; None when nothing is parked."""
    query = select(_debounces).where(_debounces.c.key == key).with_for_update()
    return tx.execute(query).mappings().first()


def remove(tx: Connection, key: str) -> None:
    """Delete the row of a key whose run starts."""
    tx.execute(delete(_debounces).where(_debounces.c.key == key))
