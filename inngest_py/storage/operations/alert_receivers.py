"""Receivers of alerts that people have added, and how the last message to each went."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, Text, delete, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, Json, Timestamp, table_of

_MOST_ERROR_CHARS = 1000


class AlertReceiver(Base):
    """A receiver of alerts.

    `target` may be a secret: no page, log or answer shows it. `alerts` are the kinds that it wants
    (JSON, a list; an empty one means all).
    """

    __tablename__ = "alert_receivers"
    id: Mapped[str] = mapped_column(Text, primary_key=True)  # ULID
    name: Mapped[str] = mapped_column(Text, unique=True)
    kind: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(Text)
    alerts: Mapped[str] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    sent_at: Mapped[datetime | None] = mapped_column(Timestamp)  # the last message it accepted
    failed_at: Mapped[datetime | None] = mapped_column(Timestamp)  # None after it accepted one
    error: Mapped[str | None] = mapped_column(Text)


_receivers = table_of(AlertReceiver)


def every(tx: Connection) -> Sequence[RowMapping]:
    """List the receivers by name."""
    return tx.execute(select(_receivers).order_by(_receivers.c.name)).mappings().all()


def get(tx: Connection, receiver_id: str) -> RowMapping | None:
    """Find a receiver by its id; None when there is none."""
    query = select(_receivers).where(_receivers.c.id == receiver_id)
    return tx.execute(query).mappings().first()


def by_name(tx: Connection, name: str) -> RowMapping | None:
    """Find a receiver by its name; None when there is none."""
    return tx.execute(select(_receivers).where(_receivers.c.name == name)).mappings().first()


def add(tx: Connection, values: Mapping[str, object]) -> None:
    """Write a new receiver. Raises IntegrityError if another has its name."""
    tx.execute(insert(_receivers), dict(values))


def change(tx: Connection, receiver_id: str, values: Mapping[str, object]) -> bool:
    """Change a receiver; say whether it is there. Raises IntegrityError for a name in use."""
    mine = update(_receivers).where(_receivers.c.id == receiver_id)
    return bool(tx.execute(mine.values(**values)).rowcount)


def remove(tx: Connection, receiver_id: str) -> bool:
    """Delete a receiver; say whether it was there."""
    return bool(tx.execute(delete(_receivers).where(_receivers.c.id == receiver_id)).rowcount)


def note_sent(tx: Connection, receiver_id: str, now: datetime) -> None:
    """Store that a receiver accepted a message."""
    mine = update(_receivers).where(_receivers.c.id == receiver_id)
    tx.execute(mine.values(sent_at=now, failed_at=None, error=None))


def note_failed(tx: Connection, receiver_id: str, now: datetime, error: str) -> None:
    """Store why a receiver did not accept a message."""
    mine = update(_receivers).where(_receivers.c.id == receiver_id)
    cut = error[:_MOST_ERROR_CHARS].replace("\0", "")
    tx.execute(mine.values(failed_at=now, error=cut))
