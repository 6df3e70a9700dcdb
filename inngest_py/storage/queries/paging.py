"""The pager of every list: orders, cursors, pages, and searches that read window by window.

A page continues after a position, which is the values of the order's keys in one row. So pages
stay the same whatever rows are added meanwhile, and cost the same at any depth.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Integer, RowMapping, func, or_, select

from ...domain.values import cursors, ids
from ..db.columns import Timestamp
from ..db.keyset import Key, after_position
from ..db.row_types import AnyColumn, Query

Position = Sequence[object]


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a list; the last of its keys is unique."""

    keys: tuple[Key, ...]

    @property
    def name(self) -> str:
        """The order as its cursors name it."""
        return ",".join(f"{key.name}{'-' if key.descending else '+'}" for key in self.keys)

    @property
    def columns(self) -> list[AnyColumn]:
        """The columns that a row needs beside its id for position()."""
        return [key.column.label(f"key_{key.name}") for key in self.keys if key.name != "id"]

    def position(self, row: RowMapping) -> Position:
        """Read the position of a row that look() has read in this order."""
        return [row[_label(key)] for key in self.keys]

    def cursor(self, position: Position) -> str:
        """Write a position for clients. In an order by id alone, the cursor is the id."""
        return str(position[0]) if self._is_by_id else cursors.encode(self.name, position)

    def position_of(self, cursor: str | None, parameter: str = "cursor") -> Position | None:
        """Read a client's cursor; None without one. Raises Invalid, which names the parameter."""
        if not cursor:
            return None
        found = [cursor]
        if not self._is_by_id:
            kinds = [_kind(key) for key in self.keys]
            found = cursors.decode(self.name, kinds, cursor, parameter)
        if self.keys[-1].name == "id" and not ids.is_ulid(found[-1]):
            raise cursors.refusal(parameter)
        return found

    @property
    def _is_by_id(self) -> bool:
        return len(self.keys) == 1 and self.keys[0].name == "id"


def _label(key: Key) -> str:
    return key.name if key.name == "id" else f"key_{key.name}"


def _kind(key: Key) -> cursors.Kind:
    if isinstance(key.column.type, Timestamp):
        return datetime
    return int if isinstance(key.column.type, Integer) else str


@dataclass(frozen=True, slots=True)
class Window:
    """Rows that may match, of those that one statement looked at.

    `last` is the position of the last row looked at, None without one. `ended` says that no row
    follows it.
    """

    rows: Sequence[RowMapping]
    looked_at: int
    last: Position | None
    ended: bool


@dataclass(slots=True)
class Page:
    """Rows of a list in an order.

    With `more`, the next page begins after the position `end`. `stopped` says that a search ended
    before the page was full, when it had looked at `scanned` rows.
    """

    order: Order
    rows: list[RowMapping] = field(default_factory=list)
    end: Position | None = None
    more: bool = False
    stopped: bool = False
    scanned: int = 0

    @property
    def next(self) -> str | None:
        """The cursor of the next page; None when this is the last."""
        return self.order.cursor(self.end) if self.more and self.end is not None else None


# reads so many rows after a position, or from the beginning
Fetch = Callable[[Position | None, int], Window]
Fits = Callable[[RowMapping], bool]


def look(
    tx: Connection,
    chosen: Query,
    order: Order,
    *,
    limit: int | None,
    after: Position | None = None,
    hit: ColumnElement[bool] | None = None,
    sort: Sequence[Key] | None = None,
) -> Window:
    """Read up to `limit` rows after a position; with `hit`, only those of them that match it.

    `sort` are keys that make the same order by an index; they are the order's last ones.
    """
    keys = order.keys if sort is None else sort
    chosen = chosen.add_columns(*order.columns)
    if after is not None:
        chosen = chosen.where(after_position(keys, after[-len(keys) :]))
    chosen = chosen.order_by(*[key.sort for key in keys]).limit(limit)
    if hit is not None:
        return _matching(tx, chosen.add_columns(hit.label("hit")), order, keys, limit)
    rows = tx.execute(chosen).mappings().all()
    last = order.position(rows[-1]) if rows else None
    return Window(rows, len(rows), last, limit is None or len(rows) < limit)


def _matching(
    tx: Connection, chosen: Query, order: Order, keys: Sequence[Key], limit: int | None
) -> Window:
    """Read a window: the database evaluates the condition, and sends no other rows but the last."""
    # a CTE that the query uses more than once, so the database evaluates `hit` once per row
    seen = chosen.cte("seen")
    columns = [(seen.c[_label(key)], key.descending) for key in keys]
    forth = [column.desc() if down else column.asc() for column, down in columns]
    back = [column.asc() if down else column.desc() for column, down in columns]
    last = select(seen.c.id).order_by(*back).limit(1).scalar_subquery()
    count = select(func.count()).select_from(seen).scalar_subquery()
    query = select(seen, count.label("looked_at")).where(or_(seen.c.hit, seen.c.id == last))
    rows = tx.execute(query.order_by(*forth)).mappings().all()
    if not rows:
        return Window((), 0, None, ended=True)
    looked_at = rows[0]["looked_at"]
    ended = limit is None or looked_at < limit
    hits = [row for row in rows if row["hit"]]
    return Window(hits, looked_at, order.position(rows[-1]), ended)


def page(fetch: Fetch, order: Order, *, first: int, after: Position | None = None) -> Page:
    """Read the first rows after a position, and one more to know whether others follow."""
    window = fetch(after, first + 1)
    rows = list(window.rows[:first])
    end = order.position(rows[-1]) if rows else after
    return Page(order, rows, end, more=len(window.rows) > first, scanned=window.looked_at)


def page_of(
    tx: Connection, chosen: Query, order: Order, *, first: int, after: Position | None
) -> Page:
    """Read a page of a query, which this orders and limits."""

    def fetch(start: Position | None, limit: int) -> Window:
        return look(tx, chosen, order, limit=limit, after=start)

    return page(fetch, order, first=first, after=after)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search may cost; `left` returns the seconds that it has left, None is no limit.

    Windows grow from `window` to `most_window` rows: frequent matches are found in the first. A
    window is made smaller, or is not read, if by the time that the rows so far took it would not
    end in time.
    """

    window: int
    most_window: int
    most_rows: int
    left: Callable[[], float] | None = None

    @property
    def seconds_left(self) -> float:
        """How long the search may go on; infinite without a limit."""
        return math.inf if self.left is None else self.left()


_GROWS, _LEAST_WINDOW = 4, 50
_LEAST_SECONDS = 0.05


def windows(fetch: Fetch, budget: Budget, after: Position | None = None) -> Iterator[Window]:
    """Read window after window until the list ends (see Window.ended) or the budget is used up."""
    began = budget.left() if budget.left is not None else 0.0
    size, scanned = min(budget.window, budget.most_rows), 0
    while True:
        window = fetch(after, size)
        yield window
        after = window.last
        scanned += window.looked_at
        if window.ended or scanned >= budget.most_rows:
            return
        size = min(size * _GROWS, budget.most_window, budget.most_rows - scanned)
        if budget.left is not None:
            left = budget.left()
            took = max(began - left, 1e-6)
            in_time = int(left / took * scanned)
            if in_time < min(_LEAST_WINDOW, budget.window):
                return
            size = min(size, in_time)


def search(
    fetch: Fetch,
    order: Order,
    *,
    first: int,
    fits: Fits,
    budget: Budget,
    after: Position | None = None,
) -> Page:
    """Read a page of the rows that fit.

    A search whose budget is used up returns the rows that it has found so far, and the position
    from which to continue. Of a window that came late, it judges rows for _LEAST_SECONDS all the
    same, and one at least: on a busy machine, each page would else get one row further.
    """
    found = Page(order, end=after)
    ended = True
    for window in windows(fetch, budget, after):
        over = min(0.0, budget.seconds_left - _LEAST_SECONDS)
        for judged, row in enumerate(window.rows):
            if judged and budget.seconds_left < over:
                found.scanned += judged
                found.end = order.position(window.rows[judged - 1])
                found.more = found.stopped = True
                return found
            if not fits(row):
                continue
            if len(found.rows) == first:
                found.more = True
                return found
            found.rows.append(row)
            found.end = order.position(row)
        found.scanned += window.looked_at
        found.end = window.last or found.end
        ended = window.ended
    found.more = found.stopped = not ended
    return found
