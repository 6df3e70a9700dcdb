"""Events, and the keys that make a second run for the same event id a no-op."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    DateTime,
    Index,
    RowMapping,
    Text,
    bindparam,
    delete,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, Json, Timestamp, table_of
from ..db.keyset import within
from ..db.statements import Insert, InsertNew, Upsert


class Event(Base):
    """An event; `payload` is its canonical JSON as SDKs get it, `id` the internal ULID."""

    __tablename__ = "events"
    # serves page() with a name; without one the primary key does, since ULIDs sort by time
    # received_at: serves event_list.page()
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
    # the W3C context of the request that brought it; null without one
    traceparent: Mapped[str | None] = mapped_column(Text)


class RunKey(Base):
    """The run that a function has for an event's external id, until `expires_at`."""

    __tablename__ = "run_keys"
    # serves forget()
    __table_args__ = (Index("run_keys_expires_idx", "expires_at"),)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    run_id: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(Timestamp)


_events = table_of(Event)
_keys = table_of(RunKey)


_add = InsertNew(_events, "id")
_put = Insert(_events)


def add(tx: Connection, rows: Sequence[dict[str, Any]]) -> set[str]:
    """Write events; say the ids of those that were not there already."""
    if not rows:
        return set()
    return {row[0] for row in _add.fresh(tx, rows)}


def put(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write events that cannot be there. The transaction fails with IntegrityError if one is."""
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
    """Claim run keys (key → run id); say those that no other run holds still.

    Locks them in sorted order, so that two transactions cannot wait in a ring.
    """
    if not keys:
        return set()
    rows = [(key, run_id, until) for key, run_id in sorted(keys.items())]
    return set(_take.run(tx, rows, now=now).scalars())


def give_keys_back(tx: Connection, keys: Sequence[str]) -> None:
    """Free run keys that this transaction has claimed, for runs that are not made after all."""
    if keys:
        tx.execute(delete(_keys).where(_keys.c.key.in_(list(keys))))


def run_of_key(tx: Connection, key: str, now: datetime) -> str | None:
    """Find the run that holds a run key still; None when there is none."""
    query = select(_keys.c.run_id).where(_keys.c.key == key, _keys.c.expires_at > now)
    return tx.execute(query).scalar()


def forget(tx: Connection, now: datetime, limit: int) -> int:
    """Delete run keys past their window, in a bounded batch."""
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


def page(
    tx: Connection,
    *,
    limit: int,
    cursor: str | None = None,
    name: str | None = None,
    after: datetime | None = None,
    before: datetime | None = None,
    internal: bool = False,
) -> list[RowMapping]:
    """List events that users sent, newest first, from behind the cursor (an event id).

    With `internal`, the server's own are among them.
    """
    query = select(_events)
    if not internal:
        query = query.where(_events.c.internal.is_(False))
    if cursor is not None:
        query = query.where(_events.c.id < cursor)
    if name is not None:
        query = query.where(_events.c.name == name)
    if after is not None:
        query = query.where(_events.c.received_at >= after)
    if before is not None:
        query = query.where(_events.c.received_at <= before)
    # a seed may be much older than the event's receipt: it tells when it was first sent
    query = query.where(*within(_events.c.id, None, before))
    return list(tx.execute(query.order_by(_events.c.id.desc()).limit(limit)).mappings())
