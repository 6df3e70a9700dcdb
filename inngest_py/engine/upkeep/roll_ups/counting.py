"""Add runs that have begun or ended to the roll-ups of their functions.

A minute and a half later, when all starts and ends of that time are committed. What came after that
is read from the runs themselves, by queries.reports.function_figures.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from ....domain.reports import roll_ups as rules
from ....storage.runs import function_hours as rows
from ...runtime.context import Context
from .forgetting import KEPT

EVERY = timedelta(seconds=20)
# Runs that one transaction counts. 2,000 of 500 functions took up to 0.25 s of CPU, in which no
# other transaction writes to SQLite.
_SLICE = 500


def count(ctx: Context, most: int = _SLICE) -> bool:
    """Count the next ends and starts that have settled, about `most` of each.

    Returns whether there may be more.
    """
    until = ctx.now() - rules.SETTLED
    more = _count(ctx, rows.ENDS, until, most)
    return _count(ctx, rows.STARTS, until, most) or more


def _count(ctx: Context, of: rows.Count, until: datetime, most: int) -> bool:
    with ctx.db.reading() as tx:
        after = rows.counted_to(tx, of)
        end = until if after is None else rows.end_of_slice(tx, of, after, until, most)
        adds = None if after is None else _read(tx, of, after, end)
    if after is None:
        with ctx.db.transaction() as tx:
            rows.begin(tx, of, until - KEPT)
        return True
    if adds is not None:
        with ctx.db.transaction() as tx:
            if rows.move_on(tx, of, after, end):
                adds(tx)
    return end < until


def _read(
    tx: Connection, of: rows.Count, after: datetime, end: datetime
) -> Callable[[Connection], None] | None:
    """Read a slice and count it; return what adds it to the hours, None if it is empty."""
    if of is rows.STARTS:
        begun = rules.begun_by_hour(rows.begun(tx, after, end))
        return partial(rows.add_begun, counted=begun) if begun else None
    ended = rows.ended(tx, after, end)
    return partial(rows.add, counted=rules.by_hour(ended)) if ended else None
