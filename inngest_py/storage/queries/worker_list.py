"""The list of workers that are alive, by their heartbeats."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, select

from ..db.columns import table_of
from ..operations.workers import Worker

# how long a silent worker counts as alive: three heartbeats
ALIVE = timedelta(seconds=30)
_workers = table_of(Worker)


def alive(tx: Connection, now: datetime) -> list[RowMapping]:
    """List the workers that are alive now, by name."""
    heard = _workers.c.heartbeat_at >= now - ALIVE
    return list(tx.execute(select(_workers).where(heard).order_by(_workers.c.name)).mappings())
