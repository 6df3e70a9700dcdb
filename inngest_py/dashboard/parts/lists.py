"""What the lists of the dashboard may cost: a page is shown at once, and a search stops in time."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import RowMapping
from werkzeug.datastructures import MultiDict

from ...domain.values import ids
from ...storage.queries import paging
from ...storage.queries.paging import Budget, Fetch, Fits, Order, Page, Position
from . import choices

PAGE = 50
# How many rows a page reads if no index decides which rows match.
MOST_SCANNED = 10_000
_WINDOW, _MOST_WINDOW = 500, 3_000
# no page takes longer than 200 ms; the search is continued where it stopped
_MOST_SECONDS = 0.12
# for so many seconds by the page itself, then by a click
_GOES_ON = 10


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


@dataclass(frozen=True, slots=True)
class Further:
    """How far a search has looked: at how many rows, and back to when; None is the list's end.

    `query` continues it, and `goes_on` says that the page does so by itself.
    """

    looked_at: int
    back_to: datetime | None
    query: str | None = None
    goes_on: bool = False


def further(found: Page, given: "MultiDict[str, str]") -> Further | None:
    """Say how far a search by id has looked; None for a list that did not have to stop.

    A page continues its search by itself, a part of it in each request, for _GOES_ON seconds.
    """
    before, now = choices.number(given, "looked"), int(time.time())
    looked_at = before + found.scanned
    if not found.stopped or found.end is None:
        return Further(looked_at, None) if before and not found.more else None
    until = min(choices.number(given, "look_until") or now + _GOES_ON, now + _GOES_ON)
    goes_on = now < until
    kept = str(until) if goes_on else None  # a click gives it time again
    query = choices.query_string(given, before=found.next, looked=str(looked_at), look_until=kept)
    back_to = datetime.fromtimestamp(ids.ulid_ms(str(found.end[0])) / 1000, UTC)
    return Further(looked_at, back_to, query, goes_on)


def walk(
    fetch: Fetch, after: Position | None, fits: Fits | None, most: int
) -> Iterator[RowMapping]:
    """Yield all rows that fit, and read at most `most` rows, each window in its own transaction."""
    for window in paging.windows(fetch, Budget(_WINDOW, _WINDOW, most), after):
        for row in window.rows:
            if fits is None or fits(row):
                yield row
