"""The list of workers that are alive, by their heartbeats; and connections of apps' workers."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, bindparam, select

from ..catalog.connections import ConnectionRow, WorkerGroup
from ..db.columns import table_of
from ..operations.workers import Worker

# how long a silent worker counts as alive: three heartbeats
ALIVE = timedelta(seconds=30)
_workers = table_of(Worker)
_connections, _groups = table_of(ConnectionRow), table_of(WorkerGroup)


def alive(tx: Connection, now: datetime) -> list[RowMapping]:
    """List the workers that are alive now, by name."""
    heard = _workers.c.heartbeat_at >= now - ALIVE
    return list(tx.execute(select(_workers).where(heard).order_by(_workers.c.name)).mappings())


_connected = select(_connections).order_by(_connections.c.id)


def connections(tx: Connection) -> list[RowMapping]:
    """List the open connections of workers, those that connected first first."""
    return list(tx.execute(_connected).mappings())


_group = select(_groups).where(_groups.c.hash == bindparam("hash"))


def worker_group(tx: Connection, group: str) -> RowMapping | None:
    """Find a worker group by its hash; None when there is none."""
    return tx.execute(_group, {"hash": group}).mappings().first()
