"""Add runs that have ended to the roll-ups of their functions.

A minute and a half after the end, when all ends of that time are committed. What ended later is
read from the runs themselves, by queries.reports.function_figures.
"""

import time
from datetime import timedelta

from ....domain.reports import roll_ups as rules
from ....storage.runs import function_hours as rows
from ...runtime.context import Context
from .forgetting import KEPT

EVERY = timedelta(seconds=20)
# Ends that one transaction counts. 2,000 of 500 functions took up to 0.25 s of CPU, in which no
# other transaction writes to SQLite.
_SLICE = 500
_REST = 4
_LEAST_REST = timedelta(milliseconds=5)


class Counting:
    """The service: counts what has settled, slice by slice, with rests between the slices."""

    def __init__(self) -> None:
        self.rest: timedelta | None = None  # until the next slice; None when all is counted

    def run_once(self, ctx: Context) -> bool:
        """Count a slice; see delay() for when the next one is due."""
        began = time.monotonic()
        more = count(ctx)
        took = timedelta(seconds=time.monotonic() - began)
        self.rest = max(took * _REST, _LEAST_REST) if more else None
        return False

    def delay(self, ctx: Context, longest: timedelta) -> timedelta:
        """Say how long to wait: short while old runs are left to count."""
        return longest if self.rest is None else self.rest


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
