"""Add runs that have ended to the roll-ups of their functions.

A minute and a half after the end, when all ends of that time are committed. What ended later is
read from the runs themselves, by queries.reports.function_figures.
"""

from datetime import timedelta

from ....domain.reports import roll_ups as rules
from ....storage.runs import function_hours as rows
from ...runtime.context import Context
from .forgetting import KEPT

EVERY = timedelta(seconds=20)
# Ends that one transaction counts. 2,000 of 500 functions took up to 0.25 s of CPU, in which no
# other transaction writes to SQLite.
_SLICE = 500


def count(ctx: Context, most: int = _SLICE) -> bool:
    """Count the next ends that have settled, about `most`; say whether there may be more."""
    until = ctx.now() - rules.SETTLED
    with ctx.db.reading() as tx:
        after = rows.counted_to(tx)
        end = until if after is None else rows.end_of_slice(tx, after, until, most)
        ended = [] if after is None else rows.ended(tx, after, end)
    if after is None:
        with ctx.db.transaction() as tx:
            rows.begin(tx, until - KEPT)
        return True
    if ended:
        counted = rules.by_hour(ended)
        with ctx.db.transaction() as tx:
            if rows.move_on(tx, after, end):
                rows.add(tx, counted)
    return end < until
