"""The axis of a timeline: where a moment stands on it, with the long waits cut out. Pure.

A run may have steps of a millisecond beside sleeps of days. Where nothing ran for long, the axis is
cut: such a time gets a narrow place of its own, whatever its length.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..parts.words import stamp

Interval = tuple[datetime, datetime]
_LEAST = timedelta(milliseconds=1)
# idle time is cut if there is more than this many times as much of it as of the rest …
_CUT_FROM = 10
# … the longest first, until there is no more than this many times as much
_CUT_TO = 3
_CUT_SHARE, _MOST_CUT = 0.08, 0.4  # of the axis: of one cut, of all of them


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the axis, from `x0` to `x1` of 0 to 1, in which time runs evenly."""

    begin: datetime
    end: datetime
    x0: float
    x1: float
    is_cut: bool

    @property
    def length(self) -> timedelta:
        """How long it is in time."""
        return self.end - self.begin

    @property
    def for_page(self) -> list[object]:
        """Write it for the page's script, which draws the ticks."""
        ms = self.length / timedelta(milliseconds=1)
        return [round(self.x0, 6), round(self.x1, 6), stamp(self.begin), ms, int(self.is_cut)]


class TimeAxis:
    """The axis from `start` to `end`; `busy` are the times at which something ran."""

    def __init__(self, start: datetime, end: datetime, busy: Sequence[Interval] = ()) -> None:
        self.start = start
        self.end = max(end, start + _LEAST)
        self.pieces = _pieces(self.start, self.end, _cuts(self.start, self.end, busy))
        self._begins = [piece.begin for piece in self.pieces]

    def at(self, moment: datetime) -> float:
        """Return the place of a moment, from 0 to 1."""
        piece = self.pieces[max(bisect_right(self._begins, moment) - 1, 0)]
        share = (moment - piece.begin) / piece.length
        return piece.x0 + (piece.x1 - piece.x0) * min(1.0, max(0.0, share))

    @property
    def is_cut(self) -> bool:
        """Whether some of the time is cut."""
        return any(piece.is_cut for piece in self.pieces)


def merged(intervals: Sequence[Interval], apart: timedelta = timedelta(0)) -> list[Interval]:
    """Join intervals that overlap, or that are no more than `apart` from each other."""
    made: list[Interval] = []
    for begin, end in sorted(intervals):
        if made and begin <= made[-1][1] + apart:
            made[-1] = (made[-1][0], max(made[-1][1], end))
        else:
            made.append((begin, end))
    return made


def _cuts(start: datetime, end: datetime, busy: Sequence[Interval]) -> list[Interval]:
    """Choose the idle times that are cut, in order."""
    joined = merged([(max(a, start), min(b, end)) for a, b in busy if b >= start and a <= end])
    if not joined:
        return []
    edges = [start, *[moment for interval in joined for moment in interval], end]
    idle = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]
    idle_time = sum([b - a for a, b in idle], timedelta(0))
    busy_time = max(end - start - idle_time, _LEAST)
    if idle_time <= _CUT_FROM * busy_time:
        return []
    chosen: list[Interval] = []
    for interval in sorted(idle, key=_length, reverse=True):
        if idle_time <= _CUT_TO * busy_time:
            break
        chosen.append(interval)
        idle_time -= _length(interval)
    return sorted(chosen)


def _length(interval: Interval) -> timedelta:
    return interval[1] - interval[0]


def _pieces(start: datetime, end: datetime, cuts: Sequence[Interval]) -> list[Piece]:
    of_cuts = min(_MOST_CUT, _CUT_SHARE * len(cuts))
    kept = end - start - sum([b - a for a, b in cuts], timedelta(0))
    if kept <= timedelta(0):  # nothing is left: no cut
        return [Piece(start, end, 0, 1, is_cut=False)]
    made: list[Piece] = []
    place, moment = 0.0, start
    for a, b in [*cuts, (end, end)]:
        if a > moment:
            width = (a - moment) / kept * (1 - of_cuts)
            made.append(Piece(moment, a, place, place + width, is_cut=False))
            place += width
        if b > a:
            width = of_cuts / len(cuts)
            made.append(Piece(a, b, place, place + width, is_cut=True))
            place += width
        moment = b
    return made
