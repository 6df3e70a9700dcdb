"""How many runs functions have."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from .base import table_of
from .runs import RunRow

_runs = table_of(RunRow)


def of_functions(tx: Connection, function_ids: Sequence[str]) -> tuple[int, int]:
    """Count the runs of functions, all of them and those that have not ended.

    Reads an entry for every run: for commands, not for pages.
    """
    live = func.count().filter(_runs.c.ended_at.is_(None))
    query = select(func.count(), live).where(_runs.c.function_id.in_(list(function_ids)))
    total, open_ = tx.execute(query).one()
    return int(total), int(open_)
