"""Read and write the filters of a list in the URL."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from werkzeug.datastructures import MultiDict

from ...domain.errors import Invalid
from ...domain.events import filters
from ...domain.values import ids, times
from ...storage.queries.paging import Position

SINCE = {
    "15m": ("last 15 minutes", timedelta(minutes=15)),
    "1h": ("last hour", timedelta(hours=1)),
    "24h": ("last 24 hours", timedelta(days=1)),
    "7d": ("last 7 days", timedelta(days=7)),
    "30d": ("last 30 days", timedelta(days=30)),
}
_MOST_TEXT = 500
_MOST_OFFSET = 24 * 60


@dataclass(frozen=True, slots=True)
class IdRange:
    """A span of time in a list by id, newest first; None is no limit.

    No id sorts before `from_id`, and the list begins after the position `after`.
    """

    from_id: str | None
    after: Position | None


def text(given: Mapping[str, str], name: str) -> str:
    """Read a text. Raises Invalid."""
    found = given.get(name, "").strip()
    if len(found) > _MOST_TEXT:
        raise Invalid(f"{name} is longer than {_MOST_TEXT} characters", field=name)
    return filters.check_text(found, name)


def name_or_prefix(given: Mapping[str, str], name: str) -> tuple[str | None, str | None]:
    """Read the name of events, or what their names begin with, as in `shop/*`. Raises Invalid."""
    found = text(given, name)
    prefix, star, rest = found.partition("*")
    if rest:
        raise Invalid(f"{name} may have one *, at its end, as in shop/*", field=name)
    return (None, prefix) if star else (found or None, None)


def number(given: Mapping[str, str], name: str) -> int:
    """Read a whole number that a page wrote into a link; 0 if it is none."""
    found = given.get(name, "")
    return int(found) if found.isascii() and found.isdigit() and len(found) < 16 else 0


def span(given: Mapping[str, str], now: datetime) -> IdRange:
    """Read `since`, or `from` and `until`; `before` is a page's cursor. Raises Invalid."""
    begin, end = times_of(given, now)
    cursor = given.get("before", "")
    if cursor:
        ids.check_ulid(cursor, "an id", "before")
    ends = [found for found in (cursor, ids.lowest_ulid(end) if end else "") if found]
    return IdRange(ids.lowest_ulid(begin) if begin else None, [min(ends)] if ends else None)


def times_of(given: Mapping[str, str], now: datetime) -> tuple[datetime | None, datetime | None]:
    """Read when the span begins and ends; None is no limit. Raises Invalid."""
    since = given.get("since", "")
    if since and since not in SINCE:
        raise Invalid(f"since must be one of {', '.join(SINCE)}", field="since")
    return now - SINCE[since][1] if since else _time(given, "from"), _time(given, "until")


def _time(given: Mapping[str, str], name: str) -> datetime | None:
    """Read a time: RFC 3339, or a local time, with `tz` as its minutes behind UTC."""
    written = given.get(name, "").strip()
    if not written:
        return None
    try:
        if written[-1] in "Zz" or "+" in written[10:] or "-" in written[10:]:
            return times.parse_time(written)
        behind = int(given.get("tz", "0") or 0)
        if abs(behind) > _MOST_OFFSET:
            raise ValueError
        return datetime.fromisoformat(written).replace(tzinfo=UTC) + timedelta(minutes=behind)
    except (ValueError, OverflowError, Invalid):
        raise Invalid(f"{name} must be a time such as 2030-01-31T12:00:00Z", field=name) from None


def cel(given: Mapping[str, str], variables: frozenset[str]) -> filters.Filter | None:
    """Read the filter in CEL; None if there is none. Raises Invalid."""
    written = given.get("cel", "").strip()
    if not written:
        return None
    try:
        return filters.parse(filters.check_text(written, "cel"), variables)
    except Invalid as error:
        raise Invalid(f"not filtered: {error.message}", field="cel") from None


def query_string(given: "MultiDict[str, str]", **changes: str | None) -> str:
    """Write the filters as a query string, with changes; None removes one."""
    dropped = {"looked", "look_until", *changes}
    pairs = [
        (name, value)
        for name, value in given.items(multi=True)
        if name not in dropped and value != ""
    ]
    pairs += [(name, value) for name, value in changes.items() if value is not None]
    return urlencode(pairs)
