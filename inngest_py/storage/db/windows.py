"""Windows of a search: so many rows are looked at, those that match are read.

What decides is evaluated by the database, and misses are not sent: one statement a window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, or_, select


@dataclass(frozen=True, slots=True)
class Window:
    """Rows that may match; `last` is the id of the last row looked at, None without one."""

    rows: Sequence[RowMapping]
    looked_at: int
    last: str | None


def whole(rows: Sequence[RowMapping]) -> Window:
    """Make a window of rows that all match."""
    return Window(rows, len(rows), rows[-1]["id"] if rows else None)


def matching(tx: Connection, chosen: Select[Any], hit: ColumnElement[bool]) -> Window:
    """Read a window: `chosen` is ordered by a descending column `id` and has a limit."""
    # named twice, so that the database evaluates it once
    seen = chosen.add_columns(hit.label("hit")).cte("seen")
    last = select(func.min(seen.c.id)).scalar_subquery()
    count = select(func.count()).select_from(seen).scalar_subquery()
    query = select(seen, count.label("looked_at")).where(or_(seen.c.hit, seen.c.id == last))
    rows = tx.execute(query.order_by(seen.c.id.desc())).mappings().all()
    if not rows:
        return Window((), 0, None)
    return Window([row for row in rows if row["hit"]], rows[0]["looked_at"], rows[-1]["id"])
