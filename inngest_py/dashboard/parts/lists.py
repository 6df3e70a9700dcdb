"""What the lists of the dashboard may cost: a page is shown at once, and a search stops in time."""

import time
from collections.abc import Callable, Iterator

from sqlalchemy import RowMapping

from ...storage.queries import paging
from ...storage.queries.paging import Budget, Fetch, Fits, Order, Page, Position

PAGE = 50
# How many rows a page reads if no index decides which rows match.
MOST_SCANNED = 10_000
_WINDOW, _MOST_WINDOW = 500, 3_000
# no page takes longer than 200 ms; a click continues the search where it stopped
_MOST_SECONDS = 0.12


def page(
    fetch: Fetch,
    order: Order,
    *,
    after: Position | None,
    fits: Fits | None,
    clock: Callable[[], float] = time.monotonic,
) -> Page:
    """Read a page after a position; with `fits`, only rows that it accepts."""
    if fits is None:
        return paging.page(fetch, order, first=PAGE, after=after)
    until = clock() + _MOST_SECONDS
    budget = Budget(_WINDOW, _MOST_WINDOW, MOST_SCANNED, lambda: until - clock())
    return paging.search(fetch, order, first=PAGE, fits=fits, budget=budget, after=after)


def walk(
    fetch: Fetch, after: Position | None, fits: Fits | None, most: int
) -> Iterator[RowMapping]:
    """Yield all rows that fit, and read at most `most` rows, each window in its own transaction."""
    for window in paging.windows(fetch, Budget(_WINDOW, _WINDOW, most), after):
        for row in window.rows:
            if fits is None or fits(row):
                yield row
