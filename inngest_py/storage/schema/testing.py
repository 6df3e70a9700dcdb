"""Rows that the dev server's test API deletes (protocol: api.md §3)."""

from sqlalchemy import Connection

from ..db.dialects import empty
from .tables import Base

# tables written by syncs, workers and accounts; everything else is state
_KEPT = frozenset(
    {
        *("apps", "functions", "meta", "workers", "operators", "operator_sessions", "audit"),
        *("connections", "worker_groups", "gateways"),
    }
)


def drop_state(tx: Connection) -> None:
    """Empty every table except those of apps, functions, workers and operators."""
    tables = [table for table in reversed(Base.metadata.sorted_tables) if table.name not in _KEPT]
    empty(tx, tables)
