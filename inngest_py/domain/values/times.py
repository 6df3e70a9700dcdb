"""Read times as SDKs and people write them (protocol: execution.md §3.3, §4.1).

The formats are those of `date()` in expressions.md §3.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from ..errors import Invalid
from . import durations

_SHORTEST_DATE = 10
_LEAST_RETRY = timedelta(seconds=1)
_MOST_RETRY = timedelta(hours=24)
_MOST_CHARS = 64

_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d)"
_SECOND = r":(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?"
_ZONE = r"(?P<zone>Z|z|[+-]\d\d:?\d\d|[+-]\d\d|[A-Z]{3,5})"
_DAY_NAME = r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6}"
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_FORMATS = [
    re.compile(pattern, re.ASCII | re.IGNORECASE)
    for pattern in (
        # RFC 3339, ISO 8601 and Go's default text, which may name its zone twice
        r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
        rf"(?:[T ]{_CLOCK}(?:{_SECOND})?(?: ?{_ZONE}(?: (?:[A-Z]{{3,5}}|[+-]\d\d(?:\d\d)?))?)?)?",
        # RFC 822, RFC 850 and RFC 1123
        rf"(?:{_DAY_NAME},? )?(?P<day>\d\d?)[ -]{_MONTH}[ -](?P<year>\d{{4}}|\d\d)"
        rf" {_CLOCK}(?:{_SECOND})? {_ZONE}",
        # ANSI C, Unix and Ruby
        rf"{_DAY_NAME} {_MONTH} {{1,2}}(?P<day>\d\d?) {_CLOCK}{_SECOND}(?: {_ZONE})?"
        r" (?P<year>\d{4})",
        # the Stamp styles, which have no year
        rf"{_MONTH} {{1,2}}(?P<day>\d\d?) {_CLOCK}{_SECOND}",
    )
]
_SECONDS = re.compile(r"[+-]?\d{1,7}", re.ASCII)


def read_time(text: str) -> datetime:
    """Read a time in the offset that it names, or else in UTC. Raises Invalid.

    The name of a zone counts as UTC, as in the reference. A time without a year gets year 1, which
    is before all others, like the reference's year 0.
    """
    if len(text) <= _MOST_CHARS:
        for pattern in _FORMATS:
            if (found := pattern.fullmatch(text)) is not None:
                return _datetime_of(found, text)
    raise _no_time(text)


def parse_time(text: str) -> datetime:
    """Read a time as UTC. Raises Invalid."""
    try:
        return read_time(text).astimezone(UTC)
    except OverflowError as error:
        raise _no_time(text) from error


def delay(text: str, now: datetime) -> timedelta:
    """Return how long a sleep lasts; `text` is a duration or a date (execution.md §4.1).

    A past date gives zero. The time until a date is rounded to whole seconds, unless the date lies
    on a whole second: then the sleep ends at that date. Raises Invalid.
    """
    if text == "":
        return timedelta(0)
    try:
        return max(timedelta(0), durations.to_timedelta(text))
    except Invalid:
        if len(text) < _SHORTEST_DATE:
            raise
    date = parse_time(text)
    if not date.microsecond:
        return max(timedelta(0), date - now)
    left = (date - now + timedelta(seconds=0.5)) // timedelta(seconds=1)
    return timedelta(seconds=max(0, left))


def parse_retry_after(text: str, now: datetime) -> timedelta | None:
    """Read a retry-after header, within [1 s, 24 h]; None when it is not valid (§3.3)."""
    text = text.strip()
    if len(text) <= 7 and _SECONDS.fullmatch(text):
        given = timedelta(seconds=int(text))
    else:
        try:
            given = parse_time(text) - now
        except Invalid:
            return None
    return min(max(given, _LEAST_RETRY), _MOST_RETRY)


def _no_time(text: str) -> Invalid:
    return Invalid(f"{text[:_MOST_CHARS]!r} is not a time: write it like 2024-01-31T09:00:00Z")


def _datetime_of(found: re.Match[str], text: str) -> datetime:
    parts = found.groupdict()
    month = parts["month"].lower()
    try:
        return datetime(
            _year(parts.get("year")),
            _MONTHS.index(month) + 1 if month in _MONTHS else int(month),
            int(parts["day"]),
            int(parts["hour"] or 0),
            int(parts["minute"] or 0),
            int(parts["second"] or 0),
            int(f"{parts['fraction'] or ''}000000"[:6]),
            tzinfo=_zone(parts.get("zone") or "Z"),
        )
    except ValueError as error:
        raise _no_time(text) from error


def _year(text: str | None) -> int:
    if text is None:
        return 1
    year = int(text)
    if len(text) == 2:  # Go chooses the century like this
        year += 1900 if year >= 69 else 2000
    return year


def _zone(text: str) -> tzinfo:
    if text[0] not in "+-":
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset) if offset else UTC
