"""Events, and the run keys that prevent a second run for the same event id."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    Connection,
    DateTime,
    Index,
    RowMapping,
    Text,
    bindparam,
    delete,
    select,
    text,
    tuple_,
)
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, Json, Timestamp, table_of
from ..db.dialects import is_sqlite
from ..db.keyset import within
from ..db.row_types import RowValues
from ..db.statements import Insert, InsertNew, Upsert


class EventRow(Base):
    """An event; `payload` is its canonical JSON as SDKs get it, `id` the internal ULID."""

    __tablename__ = "events"
    # serve queries.event_list: by id with a name (without one the primary key does, since ULIDs
    # sort by time), and by receipt
    __table_args__ = (
        Index("events_name_idx", "name", "id"),
        Index("events_received_idx", "received_at", "id"),
    )
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    external_id: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    payload: Mapped[str] = mapped_column(Json)
    ts: Mapped[datetime] = mapped_column(Timestamp)
    received_at: Mapped[datetime] = mapped_column(Timestamp)
    internal: Mapped[bool]
    # the W3C trace context of the request that sent it; null without one
    traceparent: Mapped[str | None] = mapped_column(Text)


class RunKey(Base):
    """The run that a function has for an event's external id, until `expires_at`."""

    __tablename__ = "run_keys"
    # serves forget()
    __table_args__ = (Index("run_keys_expires_idx", "expires_at"),)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    run_id: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(Timestamp)


_events = table_of(EventRow)
_keys = table_of(RunKey)


_add = InsertNew(_events, "id")
_put = Insert(_events)


def add(tx: Connection, rows: Sequence[RowValues]) -> set[str]:
    """Write events; return the ids of those that were not there already."""
    if not rows:
        return set()
    return {row[0] for row in _add.fresh(tx, rows)}


def put(tx: Connection, rows: Sequence[RowValues]) -> None:
    """Write events with new ids. The transaction fails with IntegrityError if one exists."""
    if rows:
        _put.run(tx, rows)


_take = Upsert(
    _keys,
    {"key": Text(), "run_id": Text(), "expires_at": DateTime(timezone=True)},
    "key",
    lambda excluded: {"run_id": excluded.run_id, "expires_at": excluded.expires_at},
    where=_keys.c.expires_at <= bindparam("now", None, type_=Timestamp()),
    returning=["key"],
)


def take_keys(tx: Connection, keys: Mapping[str, str], now: datetime, until: datetime) -> set[str]:
    """Take run keys (key → run id); return those that no other run still holds.

    Locks them in sorted order, so that two transactions cannot deadlock.
    """
    if not keys:
        return set()
    rows = [(key, run_id, until) for key, run_id in sorted(keys.items())]
    return set(_take.run(tx, rows, now=now).scalars())


def give_keys_back(tx: Connection, keys: Sequence[str]) -> None:
    """Free run keys that this transaction has taken, for runs that are not made after all."""
    if keys:
        tx.execute(delete(_keys).where(_keys.c.key.in_(list(keys))))


def run_of_key(tx: Connection, key: str, now: datetime) -> str | None:
    """Find the run that still holds a run key; None when there is none."""
    query = select(_keys.c.run_id).where(_keys.c.key == key, _keys.c.expires_at > now)
    return tx.execute(query).scalar()


def forget(tx: Connection, now: datetime, limit: int) -> int:
    """Delete expired run keys, at most `limit`."""
    old = select(_keys.c.key).where(_keys.c.expires_at <= now).limit(limit)
    return tx.execute(delete(_keys).where(_keys.c.key.in_(old))).rowcount


_by_id = select(_events).where(_events.c.id == bindparam("id"))


def get(tx: Connection, event_id: str) -> RowMapping | None:
    """Find an event by its internal id; None when there is none."""
    return tx.execute(_by_id, {"id": event_id}).mappings().first()


def by_ids(tx: Connection, event_ids: Sequence[str]) -> dict[str, RowMapping]:
    """Find events by their internal ids."""
    found = tx.execute(select(_events).where(_events.c.id.in_(event_ids))).mappings()
    return {row["id"]: row for row in found}


class InFlight(NamedTuple):
    """Transactions that write: the number of the oldest, and the number that the next will get."""

    oldest: int
    next: int


_in_flight = text(
    "SELECT pg_snapshot_xmin(found)::text, pg_snapshot_xmax(found)::text"
    " FROM pg_current_snapshot() AS found"
)


def in_flight(tx: Connection) -> InFlight:
    """Say which transactions write now; a later look sees all that older ones have written.

    A transaction has its number before it reads what waits for its events, since it stores them
    first. One that did not see a committed wait has a lower number than the next one of now, so
    its events are there once `oldest` has reached that. SQLite's one writer leaves none in flight.
    """
    if is_sqlite(tx):
        return InFlight(0, 0)
    oldest, following = tx.execute(_in_flight).one()
    return InFlight(int(oldest), int(following))


class StoredEvent(NamedTuple):
    """An event as it is stored."""

    id: str
    received_at: datetime
    payload: str


def since(
    tx: Connection, name: str, start: datetime, after: tuple[datetime, str], limit: int
) -> list[StoredEvent]:
    """List the first events of a name, by receipt from `start` on, after (receipt, id) `after`."""
    query = (
        select(_events.c.id, _events.c.received_at, _events.c.payload)
        .where(
            _events.c.name == name,
            _events.c.received_at >= start,
            tuple_(_events.c.received_at, _events.c.id) > after,
            *within(_events.c.id, start, None),
        )
        .order_by(_events.c.received_at, _events.c.id)
        .limit(limit)
    )
    return [StoredEvent(*row) for row in tx.execute(query)]
