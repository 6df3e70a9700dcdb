"""The last hour by minute. Minutes that are over do not change, so each is counted once and kept.

A first look at a busy server counts the newest minutes; the next looks count the others.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from ...domain.reports.quantiles import quantile
from ...domain.values import ids
from ...storage.queries import figures

MINUTES = 60
_MINUTE = timedelta(minutes=1)
# an answer that ends within a minute may be committed a moment after it
_SETTLED = timedelta(seconds=10)
_BUDGET_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Minute:
    """What happened in a minute; latencies are in milliseconds, None without calls."""

    start: datetime
    queued: int = 0
    calls: int = 0
    errors: int = 0
    completed: int = 0
    failed: int = 0
    call_ms: tuple[float, float] | None = None  # median and 95th percentile
    wait_ms: float | None = None  # how long a call's item was due: 95th percentile


@dataclass(slots=True)
class Minutes:
    """The minutes that this process has counted."""

    _known: dict[datetime, Minute] = field(default_factory=dict)
    _first: dict[datetime, int] = field(default_factory=dict)

    def last_hour(
        self, tx: Connection, now: datetime, clock: Callable[[], float] = time.monotonic
    ) -> list[Minute | None]:
        """Return the minutes of the last hour, oldest first; None for those not counted yet."""
        this = now.replace(second=0, microsecond=0)
        starts = [this - _MINUTE * back for back in range(MINUTES)]
        self._forget(starts[-1])
        end_by: float | None = None  # those that are not over are counted at each look, and first
        look = _Look(tx, figures.end_of_attempts(tx))
        found: dict[datetime, Minute] = {}
        for start in starts:
            if start in self._known:
                found[start], look.end = self._known[start], self._first[start]
                continue
            is_over = now >= start + _MINUTE + _SETTLED
            if is_over and end_by is None:
                end_by = clock() + _BUDGET_SECONDS
            elif end_by is not None and clock() > end_by:
                break
            found[start] = minute = look.count(start)
            if is_over:
                self._known[start], self._first[start] = minute, look.end
        return [found.get(start) for start in reversed(starts)]

    def _forget(self, oldest: datetime) -> None:
        for kept in (self._known, self._first):
            for start in [start for start in kept if start < oldest]:
                del kept[start]


class _Look:
    """Counts minutes, newest first; it needs no query for minutes in which nothing happened."""

    def __init__(self, tx: Connection, end: int) -> None:
        self._tx = tx
        self.end = end  # the next minute's attempts have ids below this
        self._attempt: tuple[int, datetime | None] | None = None
        self._run: str | None = None  # the newest run before the counted minutes; "" for none

    def count(self, start: datetime) -> Minute:
        """Count a minute; the later ones must be counted already."""
        tx, end = self._tx, self.end
        if self._attempt is None or self._attempt[0] != end:
            self._attempt = end, figures.last_attempt(tx, end)
        newest = self._attempt[1]
        if newest is None or newest < start:
            return Minute(start, queued=self._runs(start))
        self.end = first = figures.first_attempt_since(tx, start, end)
        counts = figures.attempts_between(tx, first, end)
        calls = figures.calls_between(tx, first, end)
        took = [_ms(row[2] - row[1]) for row in calls]
        waited = [_ms(row[1] - row[0]) for row in calls]
        return Minute(
            start,
            queued=self._runs(start),
            **{name: counts[name] for name in ("calls", "errors", "completed", "failed")},
            call_ms=(quantile(took, 0.5), quantile(took, 0.95)) if took else None,
            wait_ms=quantile(waited, 0.95) if waited else None,
        )

    def _runs(self, start: datetime) -> int:
        first, end = ids.lowest_ulid(start), ids.lowest_ulid(start + _MINUTE)
        if self._run is None or self._run >= end:
            self._run = figures.last_run(self._tx, end) or ""
        return figures.runs_between(self._tx, first, end) if self._run >= first else 0


def _ms(value: timedelta) -> float:
    return max(0.0, value / timedelta(milliseconds=1))
