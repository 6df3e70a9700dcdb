"""The plot above the list of runs, and its total."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from werkzeug.datastructures import MultiDict

from ..live.run_counts import MOST_EXACT, Bar, Counted
from . import charts, choices
from .words import number

# what is counted within the page, and what the plot counts when it asks by itself
PAGE_SECONDS, PLOT_SECONDS = 0.04, 0.08
_GOES_ON = 10  # seconds for which a plot asks for what is left to count
_DAY = timedelta(days=1)
_SPAN = ("since", "from", "until")


@dataclass(frozen=True, slots=True)
class RunPlot:
    """A plot as its section shows it.

    `bars`, `begin` and `end` are None where there is nothing to draw. `edges` are the ends of the
    bars, in Unix milliseconds. `is_wider` says that the bars count more than the list shows.
    `query` is the filter with which the plot is asked for again: at once if it
    `goes_on`, and on news if it `follows` them. `wider` is the filter without its span, None
    without one.
    """

    bars: charts.Plot | None
    begin: datetime | None
    end: datetime | None
    edges: Sequence[int]
    total: str
    failed: int
    others: int
    is_wider: bool
    query: str
    goes_on: bool
    follows: bool
    wider: str | None


def shown(counted: Counted | None, given: "MultiDict[str, str]", *, is_search: bool) -> RunPlot:
    """Make the plot of what was counted; None stands for a plot that counts later."""
    bars = () if counted is None else counted.bars
    now = int(time.time())
    until = min(choices.number(given, "count_until") or now + _GOES_ON, now + _GOES_ON)
    is_whole = counted is not None and all(bar.runs is not None for bar in bars)
    goes_on = not is_whole and now < until
    failed, total = sum(bar.failed or 0 for bar in bars), sum(bar.runs or 0 for bar in bars)
    has_span = any(given.get(name) for name in _SPAN)
    no_span: dict[str, str | None] = dict.fromkeys((*_SPAN, "tz", "before", "count_until"))
    return RunPlot(
        bars=_drawn(bars) if total else None,
        begin=bars[0].start if total else None,
        end=bars[-1].end if total else None,
        edges=[int(at.timestamp() * 1000) for at in _edges(bars)],
        total="" if counted is None else _told(counted, is_search=is_search),
        failed=failed,
        others=total - failed,
        is_wider=counted is not None and counted.total is None,
        query=choices.query_string(given, count_until=str(until) if goes_on else None),
        goes_on=goes_on,
        follows=not (is_search or given.get("until") or given.get("before")),
        wider=choices.query_string(given, **no_span) if has_span else None,
    )


def _told(counted: Counted, *, is_search: bool) -> str:
    """Say how many runs there are; nothing for a search, which would have to read all of them."""
    if counted.total is None:
        return "" if is_search else f"more than {number(MOST_EXACT)} runs"
    if counted.is_exact:
        return f"{number(counted.total)} run{'' if counted.total == 1 else 's'}"
    kind = "about" if counted.is_whole else "more than"
    return f"{kind} {number(_rounded(counted.total))} runs"


def _rounded(value: int) -> int:
    """Keep three digits: more would be wrong by the time they are read."""
    size: int = 10 ** max(len(str(value)) - 3, 0)
    return value // size * size


def _edges(bars: Sequence[Bar]) -> list[datetime]:
    return [bar.start for bar in bars] + [bar.end for bar in bars[-1:]]


def _drawn(bars: Sequence[Bar]) -> charts.Plot:
    failed = charts.Series("failed", "bad", [bar.failed for bar in bars])
    others = [None if bar.runs is None else bar.runs - (bar.failed or 0) for bar in bars]
    has_days = bars[-1].end - bars[0].start > _DAY
    axis = charts.Axis("Runs by the time at which they were queued", "bar", has_days=has_days)
    starts = [bar.start for bar in bars]
    return charts.bars(starts, [failed, charts.Series("others", "other", others)], axis)
