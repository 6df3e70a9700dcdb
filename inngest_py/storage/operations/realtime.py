"""Realtime messages on their way to other processes, where no broker carries them.

Writers take turns, so ids are committed in their order: who has read up to an id has missed none.
"""

from datetime import datetime

from sqlalchemy import Connection, RowMapping, Text, bindparam, delete, func, select
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, BigId, Json, Timestamp, table_of
from ..db.dialects import lock_out
from ..db.session import commit_soon

_TURN = 0x1A7E59  # PostgreSQL's advisory lock: one writer at a time
MOST = 500
MESSAGES, FOLLOWED = "messages", "followed"


class RealtimeMessage(Base):
    """What one process tells all: messages to subscribers, or the runs that it follows (JSON)."""

    __tablename__ = "realtime_messages"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Timestamp)


_rows = table_of(RealtimeMessage)
_newest = select(func.coalesce(func.max(_rows.c.id), 0))
_after = (
    select(_rows.c.id, _rows.c.kind, _rows.c.body)
    .where(_rows.c.id > bindparam("last"))
    .order_by(_rows.c.id)
    .limit(MOST)
)
_followed_after = _after.where(_rows.c.kind == FOLLOWED)


def put(tx: Connection, kind: str, body: str, now: datetime) -> None:
    """Write what all processes are told. Waits for other writers; is lost in a crash."""
    commit_soon(tx)
    lock_out(tx, _TURN)
    tx.execute(_rows.insert().values(kind=kind, body=body, created_at=now))


def newest(tx: Connection) -> int:
    """Return the id of the newest row; 0 if there is none."""
    return int(tx.execute(_newest).scalar_one())


def after(tx: Connection, last: int, *, only_followed: bool) -> list[RowMapping]:
    """List up to 500 rows after an id, in their order."""
    query = _followed_after if only_followed else _after
    return list(tx.execute(query, {"last": last}).mappings())


def forget(tx: Connection, before: datetime) -> None:
    """Delete the rows that were written before a time."""
    tx.execute(delete(RealtimeMessage).where(_rows.c.created_at < before))
