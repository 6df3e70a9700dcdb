"""Pages as GraphQL connections, and what a page or a count may read."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import DBAPIError

from ...domain.errors import Invalid
from ...storage.db.outages import too_long
from ...storage.db.session import limit_time
from ...storage.queries import paging
from ...storage.queries.paging import Budget, Fetch, Fits, Order, Page, Position
from .request import SCAN_FOR, QueryContext, time_left

MOST_FIRST = 500
_WINDOW = 200
# How many rows a page or a count reads if only an expression decides which rows match.
MOST_SCANNED = 10_000
# A count by columns stops here: a million rows are not read for one number.
MOST_COUNTED = 10_000


def check_first(first: int, name: str = "first") -> int:
    """Return the size of a page. Raises Invalid."""
    if not 1 <= first <= MOST_FIRST:
        raise Invalid(f"{name} must be from 1 to {MOST_FIRST}, not {first}", field=name)
    return first


def read_page(
    request: QueryContext,
    fetch: Fetch,
    order: Order,
    *,
    first: int,
    after: Position | None,
    fits: Fits | None = None,
) -> Page:
    """Read a page after a position; with `fits`, only rows that it accepts."""
    if fits is None:
        return paging.page(fetch, order, first=first, after=after)
    budget = _budget(request)
    return paging.search(fetch, order, first=first, fits=fits, budget=budget, after=after)


def _budget(request: QueryContext) -> Budget:
    return Budget(_WINDOW, _WINDOW, MOST_SCANNED, lambda: time_left(request))


def count_columns(request: QueryContext, query: Callable[[Connection, int], int]) -> int:
    """Count rows by columns alone, up to MOST_COUNTED. Raises Invalid if that takes too long."""

    def bounded(tx: Connection) -> int:
        limit_time(tx, SCAN_FOR)
        return query(tx, MOST_COUNTED)

    try:
        return request.read(bounded)
    except DBAPIError as error:
        if not too_long(error):
            raise
        seconds = SCAN_FOR.total_seconds()
        raise Invalid(
            f"counting took over {seconds:g} seconds: narrow from and until, or leave totalCount"
            " out",
            field="totalCount",
        ) from None


def count(request: QueryContext, fetch: Fetch, fits: Fits) -> int:
    """Count the rows that `fits` accepts. Raises Invalid if that takes too long."""
    total = scanned = 0
    for window in paging.windows(fetch, _budget(request)):
        total += sum(map(fits, window.rows))
        scanned += window.looked_at
        if window.ended:
            return total
    raise Invalid(
        f"more than {scanned} rows would have to be read to count what matches the query:"
        " narrow from and until, or leave totalCount out",
        field="totalCount",
    )


def connection(page: Page, node: Callable[[RowMapping], object], *, began: bool) -> dict[str, Any]:
    """Make the GraphQL connection of a page; `began` says whether it is the list's first page."""
    order = page.order
    edges = [{"cursor": order.cursor(order.position(row)), "node": node(row)} for row in page.rows]
    return {
        "edges": edges,
        "pageInfo": {
            "hasNextPage": page.more,
            "hasPreviousPage": not began,
            "startCursor": edges[0]["cursor"] if edges else None,
            "endCursor": order.cursor(page.end) if page.end and (edges or page.more) else None,
        },
    }
