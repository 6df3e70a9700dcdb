"""Connections of workers, and the worker groups that were synced.

The rows show where workers are. What a worker has in flight is known to the process that holds its
connection; the database says who has which item.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, ForeignKey, Index, Text, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, Json, Timestamp, table_of
from ..db.row_types import RowValues
from ..db.session import upsert


class ConnectionRow(Base):
    """A worker's open connection, and the process that holds it.

    `status` is a number of connect.md §2.2. `groups` are the hashes of its worker groups, by app
    (JSON). `heartbeat_at` is written every few seconds, for all of a process at once.
    """

    __tablename__ = "connections"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    gateway_id: Mapped[str] = mapped_column(Text)
    instance_id: Mapped[str] = mapped_column(Text)
    status: Mapped[int]
    groups: Mapped[str] = mapped_column(Json)
    capacity: Mapped[int]
    in_flight: Mapped[int]
    sdk_language: Mapped[str] = mapped_column(Text)
    sdk_version: Mapped[str] = mapped_column(Text)
    platform: Mapped[str] = mapped_column(Text)
    attributes: Mapped[str] = mapped_column(Json)  # cpu_cores, mem_bytes, os
    connected_at: Mapped[datetime] = mapped_column(Timestamp)
    heartbeat_at: Mapped[datetime] = mapped_column(Timestamp)
    # serves remove_silent()
    __table_args__ = (Index("connections_heartbeat_idx", "heartbeat_at"),)


class WorkerGroup(Base):
    """Workers that run the same functions of an app with the same SDK.

    The group of an app that was synced last is its current one.
    """

    __tablename__ = "worker_groups"
    hash: Mapped[str] = mapped_column(Text, primary_key=True)
    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id", ondelete="CASCADE"))
    app_version: Mapped[str] = mapped_column(Text)
    sdk_language: Mapped[str] = mapped_column(Text)
    sdk_version: Mapped[str] = mapped_column(Text)
    platform: Mapped[str] = mapped_column(Text)
    sync_id: Mapped[str] = mapped_column(Text)
    synced_at: Mapped[datetime] = mapped_column(Timestamp)
    # serves current()
    __table_args__ = (Index("worker_groups_app_idx", "app_id", "synced_at"),)


_connections, _groups = table_of(ConnectionRow), table_of(WorkerGroup)


def put(tx: Connection, values: RowValues) -> None:
    """Insert a connection, or replace the row with its id."""
    tx.execute(upsert(tx, ConnectionRow, values, keys=["id"]))


def set_status(tx: Connection, connection_id: str, status: int) -> None:
    """Write a connection's status."""
    mine = update(_connections).where(_connections.c.id == connection_id)
    tx.execute(mine.values(status=status))


def remove(tx: Connection, connection_id: str) -> None:
    """Delete a connection that is closed."""
    tx.execute(delete(_connections).where(_connections.c.id == connection_id))


def beat(tx: Connection, rows: Sequence[tuple[str, datetime, int]]) -> None:
    """Write the last heartbeats and calls in flight of connections, by their ids."""
    for connection_id, heartbeat_at, in_flight in rows:
        mine = update(_connections).where(_connections.c.id == connection_id)
        tx.execute(mine.values(heartbeat_at=heartbeat_at, in_flight=in_flight))


def remove_silent(tx: Connection, before: datetime) -> int:
    """Delete connections whose process has written nothing since; return how many there were."""
    return tx.execute(delete(_connections).where(_connections.c.heartbeat_at < before)).rowcount


def is_known(tx: Connection, group: str) -> bool:
    """Say whether a worker group was synced before."""
    return tx.execute(select(_groups.c.hash).where(_groups.c.hash == group)).first() is not None


def current(tx: Connection, app_id: str) -> str | None:
    """Return the hash of an app's current worker group; None when it has none."""
    newest = select(_groups.c.hash).where(_groups.c.app_id == app_id)
    found = tx.execute(newest.order_by(_groups.c.synced_at.desc(), _groups.c.hash).limit(1))
    group: str | None = found.scalar()
    return group


def put_group(tx: Connection, values: RowValues) -> None:
    """Write that a worker group was synced now."""
    tx.execute(upsert(tx, WorkerGroup, values, keys=["hash"]))
