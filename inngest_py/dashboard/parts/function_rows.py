"""The rows of the list of functions: their figures of a day, and the order that the URL names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from sqlalchemy import Connection, RowMapping

from ...domain.errors import Invalid
from ...domain.reports import roll_ups
from ...domain.reports.roll_ups import Figures
from ...domain.values import ids
from ...storage.queries.reports import function_figures

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHARE = 0.95
# by the word in the URL: the heading, and whether a first click sorts from the largest
HEADINGS = {
    "name": ("Function", False),
    "runs": ("Runs", True),
    "failures": ("Failed", True),
    "p95": ("p95", True),
    "last_run": ("Last run", True),
}
_DIRECTIONS = ("asc", "desc")


@dataclass(frozen=True, slots=True)
class Sorting:
    """By what the list is sorted."""

    by: str
    descending: bool

    def aria(self, heading: str) -> str | None:
        """Return the heading's `aria-sort`; None for headings by which nothing is sorted."""
        if heading != self.by:
            return None
        return "descending" if self.descending else "ascending"

    def query(self, heading: str, given: Mapping[str, str]) -> str:
        """Return the query of the heading's link: it keeps filters, and turns the order around."""
        descending = HEADINGS[heading][1] if heading != self.by else not self.descending
        kept = {name: given[name] for name in ("q", "archived") if given.get(name)}
        return urlencode({**kept, "sort": heading, "dir": "desc" if descending else "asc"})


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """A function of the list; the percentile is in milliseconds, None without ended runs."""

    function: RowMapping
    figures: Figures
    p95_ms: float | None
    last_run_id: str | None

    @property
    def last_run_at(self) -> datetime | None:
        """When its newest run was queued."""
        if self.last_run_id is None:
            return None
        return _EPOCH + timedelta(milliseconds=ids.ulid_ms(self.last_run_id))


_VALUES: dict[str, Callable[[FunctionRow], float | str | None]] = {
    "name": lambda row: row.function["slug"],
    "runs": lambda row: row.figures.runs,
    "failures": lambda row: row.figures.failed,
    "p95": lambda row: row.p95_ms,
    "last_run": lambda row: row.last_run_id,
}


def sorting(given: Mapping[str, str]) -> Sorting:
    """Read the order from the URL. Raises Invalid, which names the field."""
    by = given.get("sort") or "name"
    if by not in HEADINGS:
        raise Invalid(f"sort must be one of {', '.join(HEADINGS)}", field="sort")
    direction = given.get("dir") or ("desc" if HEADINGS[by][1] else "asc")
    if direction not in _DIRECTIONS:
        raise Invalid(f"dir must be one of {', '.join(_DIRECTIONS)}", field="dir")
    return Sorting(by, direction == "desc")


def rows(
    tx: Connection,
    functions: Sequence[RowMapping],
    by: Sorting,
    now: datetime,
    *,
    start: int,
    end: int,
) -> tuple[list[FunctionRow], datetime | None]:
    """Make the rows of a page of the list, from place `start` to `end`, in order.

    The second value is None if all ends are counted, else the time of the last that is.
    """
    since = roll_ups.first_hour(now)
    counted, last = function_figures.counts(tx, since), function_figures.last_runs(tx)
    every = by.by == "p95"
    if every:
        function_figures.add_durations(tx, counted.of, since, None)
    made = [_row(one, counted.of, last, with_p95=every) for one in functions]
    shown = _sorted(made, by)[start:end]
    if not every:
        wanted = [row.function["id"] for row in shown]
        function_figures.add_durations(tx, counted.of, since, wanted)
        shown = [_row(row.function, counted.of, last, with_p95=True) for row in shown]
    return shown, counted.counted_to


def _row(
    function: RowMapping, figures: Mapping[str, Figures], last: Mapping[str, str], *, with_p95: bool
) -> FunctionRow:
    mine = figures.get(function["id"]) or Figures()
    p95 = mine.run_ms.percentile(_SHARE) if with_p95 else None
    return FunctionRow(function, mine, p95, last.get(function["id"]))


def _sorted(made: Sequence[FunctionRow], by: Sorting) -> list[FunctionRow]:
    """Sort rows; those without a value come last, and equal ones by their slugs."""
    value = _VALUES[by.by]
    in_order = sorted(made, key=lambda row: str(row.function["slug"]))
    known = [row for row in in_order if value(row) is not None]
    # the values of one column are of one kind
    known.sort(key=value, reverse=by.descending)  # type: ignore[arg-type]
    return known + [row for row in in_order if value(row) is None]
