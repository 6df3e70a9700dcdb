"""A page of a list or of a search over REST, and what a search may cost."""

import time

from marshmallow import fields

from ....storage.queries import paging
from ....storage.queries.paging import Budget, Fetch, Fits, Order, Page, Position

# A search for what no index knows reads as many rows as it can in this time; then the caller goes
# on by the cursor.
_SEARCH_SECONDS = 1.0
_WINDOW, _MOST_WINDOW, _MOST_SCANNED = 500, 3_000, 100_000
_STOPPED = "a search took long: the page is not full, `cursor` goes on"


def read(fetch: Fetch, by: Order, *, first: int, after: Position | None, fits: Fits | None) -> Page:
    """Read a page after a position; with `fits`, only rows that it accepts."""
    if fits is None:
        return paging.page(fetch, by, first=first, after=after)
    end = time.monotonic() + _SEARCH_SECONDS
    budget = Budget(_WINDOW, _MOST_WINDOW, _MOST_SCANNED, lambda: end - time.monotonic())
    return paging.search(fetch, by, first=first, fits=fits, budget=budget, after=after)


def stopped() -> fields.Boolean:
    """Describe the field that says whether a search ended before its page was full."""
    return fields.Boolean(required=True, metadata={"description": _STOPPED})
