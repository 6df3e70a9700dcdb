"""Pages: cursors that name a position, and filters that are evaluated row by row, up to a limit."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import DBAPIError

from ...domain.errors import Invalid
from ...domain.values import ids
from ...storage.db.keyset import LAST, Key
from ...storage.db.outages import too_long
from ...storage.db.session import limit_time
from .request import SCAN_FOR, QueryContext, out_of_time

MOST_FIRST = 500
_WINDOW = 200
# How many rows a page or a count reads if only an expression decides which rows match.
MOST_SCANNED = 10_000
# A count by columns stops here: a million rows are not read for one number.
MOST_COUNTED = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOST_MICROSECONDS = (LAST - _EPOCH) // _MICROSECOND
_MOST_CURSOR = 512

Fetch = Callable[[Sequence[Any] | None, int], list[RowMapping]]
Fits = Callable[[RowMapping], bool]


def check_first(first: int, name: str = "first") -> int:
    """Return the size of a page. Raises Invalid."""
    if not 1 <= first <= MOST_FIRST:
        raise Invalid(f"{name} must be from 1 to {MOST_FIRST}, not {first}", field=name)
    return first


def cursor_of(keys: Sequence[Key], position: Sequence[Any]) -> str:
    """Write a position as a cursor, opaque to clients."""
    values = [
        (value - _EPOCH) // _MICROSECOND if isinstance(value, datetime) else value
        for value in position
    ]
    body = orjson.dumps([_signature(keys), *values])
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def _signature(keys: Sequence[Key]) -> str:
    return ",".join(f"{key.name}{'-' if key.descending else '+'}" for key in keys)


def position_of(keys: Sequence[Key], cursor: str | None) -> list[Any] | None:
    """Read a cursor of the same order. Raises Invalid."""
    if not cursor:
        return None
    wrong = Invalid(
        "the cursor is not one of this list in this order: leave `after` out to begin again",
        field="after",
    )
    try:
        if len(cursor) > _MOST_CURSOR:
            raise wrong
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        read = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        signature, *values, last = read
    except (ValueError, TypeError, binascii.Error):
        raise wrong from None
    if signature != _signature(keys) or len(values) != len(keys) - 1:
        raise wrong
    if not isinstance(last, str) or not ids.is_ulid(last):
        raise wrong
    if not all(type(value) is int and 0 <= value <= _MOST_MICROSECONDS for value in values):
        raise wrong
    return [*[_EPOCH + value * _MICROSECOND for value in values], last]


@dataclass(slots=True)
class Page:
    """Rows with their positions, and the position at which the next page begins."""

    rows: list[RowMapping] = field(default_factory=list)
    positions: list[Sequence[Any]] = field(default_factory=list)
    more: bool = False
    end: Sequence[Any] | None = None


def read_page(
    request: QueryContext,
    fetch: Fetch,
    position_of_row: Callable[[RowMapping], Sequence[Any]],
    *,
    first: int,
    position: Sequence[Any] | None,
    fits: Fits | None = None,
) -> Page:
    """Read a page after a position; with `fits`, only rows that it accepts.

    A scan that reaches MOST_SCANNED or its time limit returns the rows that it has found so far,
    and the position from which to continue.
    """
    page = Page(end=position)
    scanned = 0
    size = first + 1 if fits is None else _WINDOW
    while True:
        window = fetch(position, size)
        for place, row in enumerate(window):
            position = position_of_row(row)
            fitting = fits is None or fits(row)
            if fitting and len(page.rows) == first:
                page.more = True
                return page
            if fitting:
                page.rows.append(row)
                page.positions.append(position)
            if len(page.rows) < first or fitting:
                page.end = position
            scanned += 1
            if fits is not None and (scanned == MOST_SCANNED or out_of_time(request)):
                page.more = place + 1 < len(window) or len(window) == size
                return page
        if len(window) < size:
            return page


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


def count(
    request: QueryContext,
    fetch: Fetch,
    position_of_row: Callable[[RowMapping], Sequence[Any]],
    fits: Fits,
) -> int:
    """Count the rows that `fits` accepts. Raises Invalid if that takes too long."""
    total = scanned = 0
    position: Sequence[Any] | None = None
    while True:
        window = fetch(position, _WINDOW)
        total += sum(map(fits, window))
        scanned += len(window)
        if len(window) < _WINDOW:
            return total
        position = position_of_row(window[-1])
        if scanned >= MOST_SCANNED or out_of_time(request):
            raise Invalid(
                f"more than {scanned} rows would have to be read to count what matches the query:"
                " narrow from and until, or leave totalCount out",
                field="totalCount",
            )


def connection(
    page: Page, keys: Sequence[Key], node: Callable[[RowMapping], Any], *, began: bool
) -> dict[str, Any]:
    """Make the GraphQL connection of a page; `began` says whether it is the list's first page."""
    edges = [
        {"cursor": cursor_of(keys, position), "node": node(row)}
        for row, position in zip(page.rows, page.positions, strict=True)
    ]
    end = None if page.end is None else cursor_of(keys, page.end)
    return {
        "edges": edges,
        "pageInfo": {
            "hasNextPage": page.more,
            "hasPreviousPage": not began,
            "startCursor": edges[0]["cursor"] if edges else None,
            "endCursor": end if edges or page.more else None,
        },
    }
