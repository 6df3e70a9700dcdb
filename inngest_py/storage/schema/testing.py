"""Rows that the dev server's test API counts and deletes (protocol: api.md §3)."""

from sqlalchemy import Connection, func, select

from ..db.columns import table_of
from ..db.dialects import empty
from .tables import Base, QueueItem, RunRow

# tables written by syncs, workers and accounts; everything else is state
_KEPT = frozenset(
    {"apps", "functions", "meta", "workers", "operators", "operator_sessions", "audit"}
)
_items, _runs = table_of(QueueItem), table_of(RunRow)


def queue_size(tx: Connection, function_id: str) -> int:
    """Count a function's queue items: due, not due yet, held and leased."""
    mine = _items.join(_runs, _runs.c.id == _items.c.run_id)
    query = select(func.count()).select_from(mine).where(_runs.c.function_id == function_id)
    return tx.execute(query).scalar_one()


def drop_state(tx: Connection) -> None:
    """Empty every table except those of apps, functions, workers and operators."""
    tables = [table for table in reversed(Base.metadata.sorted_tables) if table.name not in _KEPT]
    empty(tx, tables)
