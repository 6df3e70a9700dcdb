"""Pages of lists after an id, and searches that read until a page is full or time is up."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import RowMapping

from ...storage.db.windows import Window

PAGE = 50
# How many rows a page reads if no index decides which rows match.
MOST_SCANNED = 10_000
_WINDOW = 500
# The windows of a page grow: frequent matches are found in the first. A window is made smaller, or
# is not read, if by the time that the rows so far took it would not end in time.
_GROWS, _MOST_WINDOW, _LEAST_WINDOW = 4, 3_000, 50
# no page takes longer than 200 ms; a click continues the search where it stopped
_MOST_SECONDS = 0.12

# reads so many rows before an id, or from the newest
Fetch = Callable[[str | None, int], Window]
Fits = Callable[[RowMapping], bool]


@dataclass(slots=True)
class Page:
    """Rows of a list. The next page begins before the id `next`, which is None at the list's end.

    `stopped` says that time was up, or MOST_SCANNED reached, before the page was full.
    """

    rows: list[RowMapping] = field(default_factory=list)
    next: str | None = None
    stopped: bool = False
    scanned: int = 0


def page(
    fetch: Fetch,
    before: str | None,
    *,
    fits: Fits | None = None,
    most: int = PAGE,
    clock: Callable[[], float] = time.monotonic,
) -> Page:
    """Read a page of the rows that fit, before an id."""
    found = Page()
    began = clock()
    size = most + 1 if fits is None else _WINDOW
    while True:
        window = fetch(before, size)
        for row in window.rows:
            if fits is not None and not fits(row):
                continue
            if len(found.rows) == most:
                found.next = found.rows[-1]["id"]
                return found
            found.rows.append(row)
        found.scanned += window.looked_at
        if window.looked_at < size:
            return found
        took = max(clock() - began, 1e-6)
        in_time = int((_MOST_SECONDS - took) / took * found.scanned)
        before, size = window.last, min(size * _GROWS, _MOST_WINDOW, in_time)
        if found.scanned >= MOST_SCANNED or size < min(_LEAST_WINDOW, _WINDOW):
            found.next, found.stopped = before, True
            return found


def walk(fetch: Fetch, fits: Fits | None, most: int) -> Iterator[RowMapping]:
    """Yield all rows that fit, and read at most `most` rows, each window in its own transaction."""
    before: str | None = None
    scanned = 0
    while scanned < most:
        window = fetch(before, min(_WINDOW, most - scanned))
        for row in window.rows:
            if fits is None or fits(row):
                yield row
        scanned += window.looked_at
        if window.looked_at < _WINDOW:
            return
        before = window.last
