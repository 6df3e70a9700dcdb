"""Events, and the keys that make a second run for the same event id a no-op."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Index, RowMapping, Text, bindparam, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, Json, Timestamp, table_of
from .session import InsertNew, insert


class Event(Base):
    """An event; `payload` is its canonical JSON as SDKs get it, `id` the internal ULID."""

    __tablename__ = "events"
    # serves page() with a name; without one the primary key does, since ULIDs sort by time
    __table_args__ = (Index("events_name_idx", "name", "id"),)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    external_id: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    payload: Mapped[str] = mapped_column(Json)
    ts: Mapped[datetime] = mapped_column(Timestamp)
    received_at: Mapped[datetime] = mapped_column(Timestamp)
    internal: Mapped[bool]


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


def add(tx: Connection, rows: Sequence[dict[str, Any]]) -> set[str]:
    """Write events; say the ids of those that were not there already."""
    if not rows:
        return set()
    return _add.run(tx, rows)


def take_key(tx: Connection, key: str, run_id: str, now: datetime, until: datetime) -> bool:
    """Claim a run key for a run; False when another run holds it still."""
    statement = insert(tx, _keys).values(key=key, run_id=run_id, expires_at=until)
    statement = statement.on_conflict_do_update(
        index_elements=["key"],
        set_={"run_id": run_id, "expires_at": until},
        where=_keys.c.expires_at <= now,
    )
    return tx.execute(statement.returning(_keys.c.run_id)).scalar() is not None


def forget(tx: Connection, now: datetime, limit: int) -> int:
    """Delete run keys past their window, in a bounded batch."""
    old = select(_keys.c.key).where(_keys.c.expires_at <= now).limit(limit)
    return tx.execute(delete(_keys).where(_keys.c.key.in_(old))).rowcount


_by_id = select(_events).where(_events.c.id == bindparam("id"))


def get(tx: Connection, event_id: str) -> RowMapping | None:
    """Find an event by its internal id; None when there is none."""
    return tx.execute(_by_id, {"id": event_id}).mappings().first()


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
    return list(tx.execute(query.order_by(_events.c.id.desc()).limit(limit)).mappings())
