"""Debounce: which event is parked, and when its run starts (protocol: flow-control.md §5)."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..functions.function_limits import Debounce

# Added to the timer, so that an event that was sent just before its end still counts.
BUFFER = timedelta(milliseconds=1050)


@dataclass(frozen=True, slots=True)
class Parked:
    """The latest event of a bucket and when its run is due; `ts_ms` is the event's own time."""

    event_id: str
    ts_ms: int
    first_at: datetime
    fires_at: datetime


def park(parked: Parked | None, event_id: str, ts_ms: int, rule: Debounce, now: datetime) -> Parked:
    """Park an event and restart the timer; an event older than the parked one changes nothing."""
    if parked is None:
        return Parked(event_id, ts_ms, now, _fires(now, now, rule))
    if ts_ms < parked.ts_ms:
        return parked
    fires_at = _fires(parked.first_at, now, rule)
    return replace(parked, event_id=event_id, ts_ms=ts_ms, fires_at=fires_at)


def _fires(first_at: datetime, now: datetime, rule: Debounce) -> datetime:
    fires_at = now + rule.period
    return fires_at if rule.timeout is None else min(fires_at, first_at + rule.timeout)
