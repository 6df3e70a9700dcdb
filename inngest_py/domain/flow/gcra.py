"""The generic cell rate algorithm, in whole nanoseconds (protocol: flow-control.md §3, §4).

A bucket is one number: the theoretical arrival time of its next event. Each event moves it one
interval further into the future. An idle bucket admits one event, and `burst` more at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..functions.function_limits import RateLimit, Throttle

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Databases hold 64 bits; a bucket with long intervals could otherwise grow beyond them.
LATEST_NS = 2**62


@dataclass(frozen=True, slots=True)
class Rate:
    """One event per interval, and `burst` more at once; an interval of 0 admits everything."""

    interval_ns: int
    burst: int

    @classmethod
    def of_throttle(cls, rule: Throttle) -> "Rate":
        """Admit `limit` + `burst` at once, then one every `period / limit`."""
        return cls(_nanoseconds(rule.period) // rule.limit, rule.limit + rule.burst - 1)

    @classmethod
    def of_rate_limit(cls, rule: RateLimit) -> "Rate":
        """Admit a tenth of the limit, and one more, at once, then one every `period / limit`."""
        return cls(_nanoseconds(rule.period) // rule.limit, rule.limit // 10)


def _nanoseconds(length: timedelta) -> int:
    return length // _MICROSECOND * 1000


def to_ns(moment: datetime) -> int:
    """Count the nanoseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND * 1000


def to_time(ns: int) -> datetime:
    """Make a time of nanoseconds since 1970, rounded up to whole microseconds."""
    return _EPOCH + timedelta(microseconds=-(-ns // 1000))


def opens_ns(rate: Rate, arrival_ns: int) -> int:
    """Return the time from which the bucket admits one more event."""
    return arrival_ns - rate.burst * rate.interval_ns


def rescaled(arrival_ns: int, now_ns: int, old: Rate | None, new: Rate) -> int:
    """Translate a bucket to a changed rate; `old` is None when there was no rate just before.

    The bucket stays as many events ahead of now as it was, but no further than the new rate allows.
    So no event waits longer than one interval because of events under the old rate.
    """
    if arrival_ns <= now_ns:
        return arrival_ns
    ahead = arrival_ns - now_ns
    if old is not None and old.interval_ns:
        ahead = ahead * new.interval_ns // old.interval_ns
    return min(now_ns + min(ahead, (new.burst + 1) * new.interval_ns), LATEST_NS)


def rescaled_all(
    numbers: Mapping[str, int], now_ns: int, old: Rate | None, new: Rate
) -> dict[str, int]:
    """Translate buckets to a changed rate; return those whose number changes."""
    after = {key: rescaled(number, now_ns, old, new) for key, number in numbers.items()}
    return {key: number for key, number in after.items() if number != numbers[key]}


def room(rate: Rate, arrival_ns: int, now_ns: int, most: int) -> int:
    """Count the events that the bucket admits now, up to `most`."""
    if not rate.interval_ns:
        return most
    ahead = max(arrival_ns, now_ns) - now_ns
    left = rate.burst * rate.interval_ns - ahead
    return 0 if left < 0 else min(most, left // rate.interval_ns + 1)


def charge(rate: Rate, arrival_ns: int, now_ns: int, count: int) -> int:
    """Charge a bucket for events that it admits; return its new number."""
    return min(max(arrival_ns, now_ns) + count * rate.interval_ns, LATEST_NS)
