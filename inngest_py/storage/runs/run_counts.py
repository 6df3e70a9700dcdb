"""Count the runs of functions."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from ..db.columns import table_of
from ..db.session import lift_time_limits, limit_locks
from .runs import RunRow

_runs = table_of(RunRow)
_LOCK_SECONDS = 5.0  # the transaction may lock rows after the count


def of_functions(tx: Connection, function_ids: Sequence[str]) -> tuple[int, int]:
    """Count the runs of functions: all, and those that have not ended.

    Reads one index entry per run, without a time limit: only for commands, not for pages.
    """
    lift_time_limits(tx)
    limit_locks(tx, _LOCK_SECONDS)
    live = func.count().filter(_runs.c.ended_at.is_(None))
    query = select(func.count(), live).where(_runs.c.function_id.in_(list(function_ids)))
    total, open_ = tx.execute(query).one()
    return int(total), int(open_)
