"""Times as text: what SDKs and people write (protocol: execution.md §3.3, §4.1)."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from . import durations
from .errors import Invalid

_SHORTEST_DATE = 10
_LEAST_RETRY = timedelta(seconds=1)
_MOST_RETRY = timedelta(hours=24)


def parse_time(text: str) -> datetime:
    """Read RFC 3339, ISO 8601 or RFC 1123 as an aware time in UTC. Raises Invalid."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(text)
            aware = found.replace(tzinfo=UTC) if found.tzinfo is None else found
            return aware.astimezone(UTC)
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    raise Invalid(f"{text[:64]!r} is not a time: write it like 2024-01-31T09:00:00Z")


def delay(text: str, now: datetime) -> timedelta:
    """Say how long a sleep lasts: a duration, or the time until a date (execution.md §4.1).

    Past dates give zero, dates are rounded to whole seconds. Raises Invalid.
    """
    if text == "":
        return timedelta(0)
    try:
        return max(timedelta(0), durations.to_timedelta(text))
    except Invalid:
        if len(text) < _SHORTEST_DATE:
            raise
    left = (parse_time(text) - now).total_seconds()
    return timedelta(seconds=max(0, round(left)))


def parse_retry_after(text: str, now: datetime) -> timedelta | None:
    """Read a retry-after header, within [1 s, 24 h]; None when it says nothing (§3.3)."""
    text = text.strip()
    if len(text) <= 7 and text.isdecimal():
        given = timedelta(seconds=int(text))
    else:
        try:
            given = parse_time(text) - now
        except Invalid:
            return None
    return min(max(given, _LEAST_RETRY), _MOST_RETRY)
