"""Windows of a search: look at a number of rows, and read those that match.

One statement per window. The database evaluates the condition, and sends no other rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, RowMapping, func, or_, select

from .row_types import Query


@dataclass(frozen=True, slots=True)
class Window:
    """Rows that may match. `last` is the id of the last row looked at; None without one."""

    rows: Sequence[RowMapping]
    looked_at: int
    last: str | None


def whole(rows: Sequence[RowMapping]) -> Window:
    """Make a window of rows that all match."""
    return Window(rows, len(rows), rows[-1]["id"] if rows else None)


def matching(tx: Connection, chosen: Query, hit: ColumnElement[bool]) -> Window:
    """Read a window. `chosen` must be ordered by `id`, descending, and have a limit."""
    # a CTE that the query uses twice, so the database evaluates `hit` once per row
    seen = chosen.add_columns(hit.label("hit")).cte("seen")
    last = select(func.min(seen.c.id)).scalar_subquery()
    count = select(func.count()).select_from(seen).scalar_subquery()
    query = select(seen, count.label("looked_at")).where(or_(seen.c.hit, seen.c.id == last))
    rows = tx.execute(query.order_by(seen.c.id.desc())).mappings().all()
    if not rows:
        return Window((), 0, None)
    return Window([row for row in rows if row["hit"]], rows[0]["looked_at"], rows[-1]["id"])
