"""Roll-ups: how many runs of a function began in an hour, and what those that ended come to. Pure.

Durations are counted in buckets that grow by an eighth of a power of two, so that those of several
hours can be added, and their percentiles read, without the runs. A percentile that is read from
buckets is at most 5 % off.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import log2
from typing import NamedTuple

from ..runs.runs import RunStatus
from ..values import canonical

HOURS, DAYS = 24, 7
HOUR = timedelta(hours=1)
# An end may be committed a while after the time that it bears; bulk cancellations wait as long.
SETTLED = timedelta(seconds=90)
# An end that was held back for longer bears the time at which it is written, for a transaction may
# take a minute more.
LONGEST_HELD = SETTLED - timedelta(seconds=60)
_PER_DOUBLING = 8
_LONGEST_MS = 2.0**36  # two years


class Histogram:
    """How many durations fell into each bucket; bucket 0 has those below a millisecond."""

    __slots__ = ("buckets",)

    def __init__(self, buckets: Mapping[int, int] | None = None) -> None:
        self.buckets: dict[int, int] = dict(buckets or {})

    def add(self, took: timedelta) -> None:
        """Count a duration; negative ones, of clocks that differ, count as 0."""
        ms = min(took / timedelta(milliseconds=1), _LONGEST_MS)
        bucket = 0 if ms < 1 else 1 + int(log2(ms) * _PER_DOUBLING)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def merge(self, other: "Histogram") -> None:
        """Add another histogram's counts."""
        for bucket, runs in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + runs

    def merge_text(self, text: str) -> None:
        """Add the counts of a histogram as text() wrote it."""
        flat = canonical.loads(text)
        buckets = self.buckets
        for bucket, runs in zip(flat[::2], flat[1::2], strict=True):
            buckets[bucket] = buckets.get(bucket, 0) + runs

    def text(self) -> str:
        """Write it as JSON: bucket, count, bucket, count …"""
        pairs = sorted(self.buckets.items())
        return canonical.dumps([number for pair in pairs for number in pair]).decode()

    def percentile(self, share: float) -> float | None:
        """Return the milliseconds that this share of the durations does not exceed, about.

        None when nothing was counted.
        """
        total = sum(self.buckets.values())
        rank = share * total
        seen = 0
        for bucket, runs in sorted(self.buckets.items()):
            seen += runs
            if seen >= rank:
                return _middle(bucket)
        return None

    @property
    def median_and_p95(self) -> tuple[float | None, float | None]:
        """The two percentiles that are shown, in milliseconds; None when nothing was counted."""
        return self.percentile(0.5), self.percentile(0.95)


def _middle(bucket: int) -> float:
    return 0.5 if bucket == 0 else float(2 ** ((bucket - 0.5) / _PER_DOUBLING))


class EndedRun(NamedTuple):
    """What a roll-up needs of a run that has ended; `started_at` is None if it never began."""

    function_id: str
    status: str
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime


class BegunRun(NamedTuple):
    """What a roll-up needs of a run that has begun."""

    function_id: str
    started_at: datetime


@dataclass(slots=True)
class Figures:
    """Counts of runs that began, and of those that ended, by how; durations of the latter.

    The durations are those of running and of queueing. Cancelled runs are left out of the durations
    of running: when they end says nothing of them.
    """

    begun: int = field(default=0, kw_only=True)
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    run_ms: Histogram = field(default_factory=Histogram)
    queue_ms: Histogram = field(default_factory=Histogram)

    @property
    def runs(self) -> int:
        """How many runs ended."""
        return self.completed + self.failed + self.cancelled

    @property
    def failure_rate(self) -> float | None:
        """The share of failed runs among those that were not cancelled; None without any."""
        judged = self.completed + self.failed
        return self.failed / judged if judged else None

    def add(self, run: EndedRun) -> None:
        """Count a run. Runs that were skipped never were anything but rows."""
        if run.status == RunStatus.COMPLETED:
            self.completed += 1
        elif run.status == RunStatus.FAILED:
            self.failed += 1
        elif run.status == RunStatus.CANCELLED:
            self.cancelled += 1
        else:
            return
        if run.started_at is None:
            return
        self.queue_ms.add(run.started_at - run.queued_at)
        if run.status != RunStatus.CANCELLED:
            self.run_ms.add(run.ended_at - run.started_at)

    def merge(self, other: "Figures") -> None:
        """Add the counts of others."""
        self.begun += other.begun
        self.completed += other.completed
        self.failed += other.failed
        self.cancelled += other.cancelled
        self.run_ms.merge(other.run_ms)
        self.queue_ms.merge(other.queue_ms)


def by_hour(runs: Iterable[EndedRun]) -> dict[tuple[str, datetime], Figures]:
    """Count runs by function and by the hour (UTC) in which they ended."""
    found: dict[tuple[str, datetime], Figures] = {}
    for run in runs:
        key = run.function_id, hour_of(run.ended_at)
        if key not in found:
            found[key] = Figures()
        found[key].add(run)
    return {key: figures for key, figures in found.items() if figures.runs}


def begun_by_hour(runs: Iterable[BegunRun]) -> dict[tuple[str, datetime], int]:
    """Count runs by function and by the hour (UTC) in which they began."""
    return Counter((run.function_id, hour_of(run.started_at)) for run in runs)


def hour_of(moment: datetime) -> datetime:
    """Return the beginning of the hour of a time."""
    return moment.replace(minute=0, second=0, microsecond=0)


def first_hour(now: datetime, hours: int = HOURS) -> datetime:
    """Return the first of the last hours, the present one included."""
    return hour_of(now) - (hours - 1) * HOUR


@dataclass(frozen=True, slots=True)
class Bin:
    """The figures of a part of a history, which begins at a time."""

    start: datetime
    figures: Figures


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time that ends with the present hour: `count` parts of `width` hours."""

    count: int
    width: int

    @property
    def hours(self) -> int:
        """How many hours it has."""
        return self.count * self.width


SPANS = {"24h": Span(HOURS, 1), "7d": Span(DAYS * 4, 6)}


def bins(hours: Mapping[datetime, Figures], now: datetime, span: Span) -> list[Bin]:
    """Put hours together into the parts of a span, the newest last."""
    first, width = first_hour(now, span.hours), span.width * HOUR
    found = [Bin(first + place * width, Figures()) for place in range(span.count)]
    for hour, figures in hours.items():
        place = (hour - first) // width
        if 0 <= place < span.count:
            found[place].figures.merge(figures)
    return found
