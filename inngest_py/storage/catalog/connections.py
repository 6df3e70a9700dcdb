"""Connections of workers, and the worker groups that were synced.

The rows show where workers are. What a worker has in flight is known to the process that holds its
connection; the database says who has which item. A connection that has ended is shown for a while.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import (
    Connection,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    RowMapping,
    Text,
    delete,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, Json, Timestamp, table_of
from ..db.row_types import RowValues
from ..db.session import upsert
from ..db.statements import EachRow


class ConnectionRow(Base):
    """A worker's connection, and the process that holds it.

    `status` is a number of connect.md §2.2. `groups` are the hashes of its worker groups, by app,
    and `requests` the ids of the items that it has, the first of them (both JSON). `heartbeat_at`
    is written every few seconds, for all of a process at once. An operator's wish that it gets no
    more work is `drain_asked_at`; the gateway looks for it. `closed_at` is None while it is open.
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
    requests: Mapped[str] = mapped_column(Json, server_default="[]")
    drain_asked_at: Mapped[datetime | None] = mapped_column(Timestamp)
    closed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    close_reason: Mapped[str | None] = mapped_column(Text)
    __table_args__ = (
        Index("connections_heartbeat_idx", "heartbeat_at"),
        Index("connections_instance_idx", "instance_id", "connected_at"),  # serves last_of()
    )


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
_open = _connections.c.closed_at.is_(None)


def put(tx: Connection, values: RowValues) -> None:
    """Insert a connection, or replace the row with its id."""
    tx.execute(upsert(tx, ConnectionRow, values, keys=["id"]))


def set_status(tx: Connection, connection_id: str, status: int) -> None:
    """Write a connection's status."""
    mine = update(_connections).where(_connections.c.id == connection_id)
    tx.execute(mine.values(status=status))


def close(tx: Connection, connection_id: str, status: int, now: datetime, reason: str) -> None:
    """Write that a connection has ended, and why."""
    mine = update(_connections).where(_connections.c.id == connection_id, _open)
    ended = {"status": status, "in_flight": 0, "requests": "[]", "closed_at": now}
    tx.execute(mine.values(close_reason=reason, **ended))


_beat = EachRow(
    {"id": Text(), "at": DateTime(timezone=True), "in_flight": Integer(), "requests": Text()},
    lambda v: (
        update(_connections)
        .where(_connections.c.id == v.id)
        .values(heartbeat_at=v.at, in_flight=v.in_flight, requests=v.requests)
    ),
)


def beat(tx: Connection, rows: Sequence[tuple[str, datetime, int, str]]) -> None:
    """Write last heartbeats, numbers of calls in flight and the ids of their items (JSON)."""
    if rows:
        _beat.run(tx, rows)


def close_lost(tx: Connection, alive: Sequence[str], now: datetime, status: int, why: str) -> int:
    """Close connections whose process is not among those alive; return how many there were."""
    lost = update(_connections).where(_connections.c.gateway_id.not_in(alive), _open)
    ended = {"status": status, "in_flight": 0, "requests": "[]", "closed_at": now}
    return tx.execute(lost.values(close_reason=why, **ended)).rowcount


def remove_closed(tx: Connection, before: datetime) -> None:
    """Delete connections that ended before a time."""
    tx.execute(delete(_connections).where(_connections.c.closed_at < before))


def ask_drain(tx: Connection, connection_id: str, at: datetime | None) -> str | None:
    """Write that an open connection gets no more work, or (None) that it may get some again.

    Returns the name of the worker; None if there is no such connection.
    """
    mine = update(_connections).where(_connections.c.id == connection_id, _open)
    found: str | None = tx.execute(
        mine.values(drain_asked_at=at).returning(_connections.c.instance_id)
    ).scalar()
    return found


def to_drain(tx: Connection, gateway_id: str) -> set[str]:
    """List the connections of a process that are to get no more work."""
    mine = select(_connections.c.id).where(_connections.c.gateway_id == gateway_id, _open)
    return set(tx.execute(mine.where(_connections.c.drain_asked_at.is_not(None))).scalars())


def last_of(tx: Connection, instance_id: str) -> RowMapping | None:
    """Find the last connection of the worker of this name, also one that has ended lately."""
    its = select(_connections).where(_connections.c.instance_id == instance_id)
    newest = its.order_by(_connections.c.connected_at.desc()).limit(1)
    return tx.execute(newest).mappings().first()


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
