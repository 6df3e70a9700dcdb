"""Workers, and which of them are alive, by their heartbeats."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, Text, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, Timestamp, table_of
from ..db.row_types import RowValues
from ..db.session import upsert

# how long a silent worker counts as alive: three heartbeats
ALIVE = timedelta(seconds=30)


class Worker(Base):
    """A worker process (or a prefork parent), with its last heartbeat."""

    __tablename__ = "workers"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(Text)
    pid: Mapped[int]
    pool: Mapped[str] = mapped_column(Text)
    concurrency: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(Timestamp)
    heartbeat_at: Mapped[datetime] = mapped_column(Timestamp)
    # the names of its upkeep services that fail, joined by commas; None when none does
    faults: Mapped[str | None] = mapped_column(Text)


def put(tx: Connection, values: RowValues) -> None:
    """Write that a worker lives, whether or not it was known."""
    tx.execute(upsert(tx, Worker, values, keys=["id"]))


def remove(tx: Connection, worker_id: str) -> None:
    """Delete a worker that has stopped properly."""
    tx.execute(delete(Worker).where(Worker.id == worker_id))


def remove_silent(tx: Connection, before: datetime) -> int:
    """Delete workers whose last heartbeat was before a time."""
    return tx.execute(delete(Worker).where(Worker.heartbeat_at < before)).rowcount


def alive(tx: Connection, now: datetime) -> list[RowMapping]:
    """List the workers that are alive now."""
    heard = Worker.heartbeat_at >= now - ALIVE
    query = select(table_of(Worker)).where(heard).order_by(Worker.name)
    return list(tx.execute(query).mappings())
