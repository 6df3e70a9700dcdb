"""Workers and their heartbeats; `queries.worker_list` says which of them are alive."""

from datetime import datetime

from sqlalchemy import Connection, Text, delete
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, Timestamp
from ..db.row_types import RowValues
from ..db.session import upsert


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
    version: Mapped[str | None] = mapped_column(Text)  # of this package


def put(tx: Connection, values: RowValues) -> None:
    """Write that a worker lives, whether or not it was known."""
    tx.execute(upsert(tx, Worker, values, keys=["id"]))


def remove(tx: Connection, worker_id: str) -> None:
    """Delete a worker that has stopped properly."""
    tx.execute(delete(Worker).where(Worker.id == worker_id))


def remove_silent(tx: Connection, before: datetime) -> int:
    """Delete workers whose last heartbeat was before a time."""
    return tx.execute(delete(Worker).where(Worker.heartbeat_at < before)).rowcount
