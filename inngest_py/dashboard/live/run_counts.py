"""How many runs a filter finds, and when these were created: the total and the plot of a list.

A few thousand runs are counted each time. More are counted bar by bar, the newest first, as long as
there is time, and each count is kept the longer the older its bar is. What is not counted yet
follows at the next look: nothing is estimated, so bursts are where they were.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from sqlalchemy import Connection

from ...domain.values import ids
from ...storage.queries import run_list
from ...storage.queries.run_filters.choosing import can_count
from ...storage.queries.run_filters.run_query import RunQuery
from ..parts.time_bars import edges

MOST_EXACT = 5_000
MOST_OF_BAR = 200_000
_MOST_KEPT = 5_000
_LONGEST_KEPT = timedelta(minutes=10)
_LAST = datetime.max.replace(tzinfo=UTC)
_LATEST_BEGIN = _LAST - timedelta(days=1)  # later ones have no room for a bar


@dataclass(frozen=True, slots=True)
class Bar:
    """The runs that were created within a span; None for what is not counted yet."""

    start: datetime
    end: datetime
    runs: int | None = None
    failed: int | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """What is known of a filter's runs: their bars, oldest first, and how many there are.

    `total` is None for a search, and for a filter that finds more than MOST_EXACT runs of which no
    index can be counted. `is_exact` says that all was counted just now, `is_whole` that nothing is
    left to count.
    """

    bars: Sequence[Bar]
    total: int | None
    is_exact: bool
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """Which runs to count: their query has the ids of the span from `begin` to `end`.

    A span without an end goes on. `is_search` says that the list also reads rows: of its filter
    only status, function and span are counted.
    """

    query: RunQuery
    begin: datetime | None
    end: datetime | None
    now: datetime
    is_search: bool


_Key = tuple[object, ...]


@dataclass(slots=True)
class RunCounts:
    """The counts of bars that this process keeps, each with the time at which it was made."""

    _kept: dict[_Key, tuple[Bar, float]] = field(default_factory=dict)

    def count(
        self,
        tx: Connection,
        asked: Asked,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> Counted:
        """Count for so many seconds, and the bar that is being counted then."""
        begin = asked.begin or _created(run_list.oldest(tx))
        if begin is None or begin > _LATEST_BEGIN or (asked.end is not None and asked.end <= begin):
            return Counted((), 0, is_exact=True, is_whole=True)
        if not asked.is_search and not can_count(tx, asked.query):
            asked = replace(asked, is_search=True)
        bars = _bars(edges(begin, asked.end or max(asked.now, begin)))
        simple = run_list.by_index(asked.query)
        few = run_list.outcomes(tx, simple if asked.is_search else asked.query, MOST_EXACT + 1)
        if len(few) <= MOST_EXACT:
            total = None if asked.is_search else len(few)
            return Counted(_filled(bars, few), total, is_exact=True, is_whole=True)
        until = clock() + seconds  # not before: each look counts at least a bar
        if asked.end is None:  # ids may be ahead of this clock: the newest bar takes them in
            bars[-1] = replace(bars[-1], end=_LAST)
        look = _Look(tx, simple, asked, clock)
        order = list(range(len(bars)))[::-1]
        if look.key(bars[-1]) in self._kept:
            order.append(order.pop(0))  # it is never fresh: it must not take the others' time
        for place in order:
            bars[place] = self._bar(look, bars[place], until)
        found = bars
        if asked.end is None:
            found[-1] = replace(found[-1], end=asked.now)
        return _summed(found, has_total=asked.query == simple and not asked.is_search)

    def _bar(self, look: "_Look", bar: Bar, until: float) -> Bar:
        """Count a bar, or take what was counted; leave it if the time is up."""
        key = look.key(bar)
        bar_and_time = self._kept.get(key)
        if bar_and_time is not None and look.is_fresh(*bar_and_time):
            return bar_and_time[0]
        if look.clock() > until:
            return bar_and_time[0] if bar_and_time is not None and bar.end == _LAST else bar
        self._kept.pop(key, None)
        while len(self._kept) >= _MOST_KEPT:  # the first is the one that was counted first
            self._kept.pop(next(iter(self._kept)), None)
        counted = look.count(bar)
        self._kept[key] = counted, look.clock()
        return counted


@dataclass(frozen=True, slots=True)
class _Look:
    tx: Connection
    query: RunQuery
    asked: Asked
    clock: Callable[[], float]

    def key(self, bar: Bar) -> _Key:
        query = self.query
        chosen = (query.statuses, query.function_ids)
        return (*[None if one is None else tuple(one) for one in chosen], bar.start, bar.end)

    def is_fresh(self, bar: Bar, counted_at: float) -> bool:
        """Say whether a count is not older than its bar was, and than _LONGEST_KEPT."""
        age = min(self.asked.now - bar.end, _LONGEST_KEPT)
        return self.clock() - counted_at < age.total_seconds()

    def count(self, bar: Bar) -> Bar:
        before = None if bar.end == _LAST else ids.lowest_ulid(bar.end)
        span = replace(self.query, from_id=ids.lowest_ulid(bar.start), before_id=before)
        total, failed = run_list.count_by_index(self.tx, span, MOST_OF_BAR)
        return replace(bar, runs=total, failed=failed)


def _created(run_id: str | None) -> datetime | None:
    return None if run_id is None else datetime.fromtimestamp(ids.ulid_ms(run_id) / 1000, UTC)


def _bars(times: Sequence[datetime]) -> list[Bar]:
    return [Bar(start, end) for start, end in pairwise(times)]


def _filled(bars: Sequence[Bar], runs: Sequence[tuple[str, bool]]) -> list[Bar]:
    """Count runs, given by id and whether they failed, in their bars."""
    starts = [ids.lowest_ulid(bar.start) for bar in bars]
    counts = [[0, 0] for _ in bars]
    for run_id, failed in runs:
        count = counts[max(bisect_right(starts, run_id) - 1, 0)]
        count[0] += 1
        count[1] += failed
    return [
        replace(bar, runs=total, failed=failed)
        for bar, (total, failed) in zip(bars, counts, strict=True)
    ]


def _summed(bars: Sequence[Bar], *, has_total: bool) -> Counted:
    known = [bar.runs for bar in bars if bar.runs is not None]
    is_whole = len(known) == len(bars) and MOST_OF_BAR not in known
    return Counted(bars, sum(known) if has_total else None, is_exact=False, is_whole=is_whole)
