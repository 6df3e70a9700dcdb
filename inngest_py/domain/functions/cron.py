"""Cron schedules: when their next tick is (protocol: flow-control.md §10, sync.md §5.1).

A tick is an instant whose local time in the schedule's zone matches. So a local time that the zone
skips has no tick, and one that it repeats has two.

Schedules of Celery tasks can do more: `every 90s` for intervals, a weekday such as `&1` that has to
match together with the day of the month, and a name after ` #`, by which two of one function
differ. Ticks of an interval are counted from the midnight that began 1970 in the zone, so every
process finds the same ones. Intervals of whole days begin at the midnight of such a day.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from ..errors import Invalid
from ..values import durations

_MINUTE = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)
# Leap days lie at most eight years apart, those on a given day of the week forty.
_HORIZON, _HORIZON_OF_BOTH = timedelta(days=366 * 9), timedelta(days=366 * 41)
_MOST_CHARS = 255
_EVERY = "every "
_DAY = timedelta(days=1)
_FIRST_DAY = date(1970, 1, 1).toordinal()
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_DAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_WEEKDAYS = {name: number for number, name in enumerate(_DAY_NAMES)}


@dataclass(frozen=True, slots=True)
class _Field:
    values: frozenset[int]
    open: bool  # a plain `*`, which restricts nothing; see _Schedule.on()


@dataclass(frozen=True, slots=True)
class _Schedule:
    zone: tzinfo
    minute: _Field
    hour: _Field
    day: _Field
    month: _Field
    weekday: _Field
    both: bool = False

    def on(self, day: date) -> bool:
        """Say whether a date matches.

        One day field is enough when both restrict the days, unless `both` have to match.
        """
        by_day = day.day in self.day.values
        by_weekday = day.isoweekday() % 7 in self.weekday.values
        if self.both or self.day.open or self.weekday.open:
            return by_day and by_weekday
        return by_day or by_weekday


def validate(text: str) -> None:
    """Check a sync's schedule: five fields, no descriptor such as @daily. Raises Invalid."""
    if any(sign in text for sign in "@&#"):
        raise Invalid(f"{text[:64]!r} is not a schedule: write five fields, like 0 9 * * 1-5")
    _parse(text)


def validate_of_task(text: str) -> None:
    """Check a Celery task's schedule, which may also be an interval. Raises Invalid."""
    if is_interval(text):
        _every(text)
    else:
        _parse(text)


def next_after(text: str, after: datetime) -> datetime | None:
    """Return the first tick after an instant, in UTC; None when there is none. Raises Invalid."""
    moment = after.astimezone(UTC)
    try:
        if "@every " in text:
            _, every = _zone(text)
            return moment.replace(microsecond=0) + _interval(every.removeprefix("@every "))
        if is_interval(text):
            return _next_interval(*_every(text), moment)
        return _next(_parse(text), moment.replace(second=0, microsecond=0) + _MINUTE)
    except OverflowError:  # past the year 9999
        return None


def ticks(text: str, first: datetime, last: datetime, most: int) -> list[datetime]:
    """List the newest `most` ticks from one instant to another, both included.

    The search goes back from the end in growing spans, so it is short even after years without a
    server. Raises Invalid.
    """
    span = _MINUTE * most
    while True:
        begin = max(first, last - span)
        found = deque(_between(text, begin, last), maxlen=most)
        if len(found) == most or begin <= first:
            return list(found)
        span *= 2


def _between(text: str, first: datetime, last: datetime) -> Iterator[datetime]:
    tick = next_after(text, first - _SECOND)
    while tick is not None and tick <= last:
        if tick >= first:
            yield tick
        tick = next_after(text, tick)


def jitter(most: timedelta, function_id: str, tick: datetime) -> timedelta:
    """Return a tick's delay in [1 s, most): always the same for a function and a tick."""
    if most <= timedelta(0):
        return timedelta(0)
    span = max(1, (most - _SECOND) // timedelta(milliseconds=1))
    seed = f"{function_id}@{int(tick.timestamp())}".encode()
    drawn = int.from_bytes(hashlib.sha256(seed).digest()[:8])
    return _SECOND + timedelta(milliseconds=drawn % span)


def _next(schedule: _Schedule, moment: datetime) -> datetime | None:
    """Search forward: skip months and days that do not match, then hours and minutes."""
    end = moment + (_HORIZON_OF_BOTH if schedule.both else _HORIZON)
    while moment < end:
        local = moment.astimezone(schedule.zone)
        if local.month not in schedule.month.values:
            first = (local.date().replace(day=1) + timedelta(days=32)).replace(day=1)
            moment = _start(first, schedule.zone, moment)
        elif not schedule.on(local.date()):
            moment = _start(local.date() + timedelta(days=1), schedule.zone, moment)
        elif local.hour in schedule.hour.values and local.minute in schedule.minute.values:
            return moment
        else:
            moment += _MINUTE * _minutes_ahead(schedule, local)
    return None


def _minutes_ahead(schedule: _Schedule, local: datetime) -> int:
    """Count the minutes to the next one that matches within the hour, else to the next hour."""
    if local.hour in schedule.hour.values:
        later = [minute for minute in schedule.minute.values if minute > local.minute]
        if later:
            return min(later) - local.minute
    return 60 - local.minute


def _start(day: date, zone: tzinfo, moment: datetime) -> datetime:
    """Return the instant when a local day begins, or a minute after `moment` if that is later."""
    start = datetime.combine(day, time(), zone).astimezone(UTC)
    return max(start, moment + _MINUTE)


def _interval(text: str) -> timedelta:
    return max(_SECOND, durations.to_timedelta(text) // _SECOND * _SECOND)


@lru_cache(maxsize=4096)
def is_interval(text: str) -> bool:
    """Say whether a schedule is an interval. Raises Invalid for a bad zone."""
    return _zone(_without_name(text))[1].startswith(_EVERY)


@lru_cache(maxsize=4096)
def _every(text: str) -> tuple[tzinfo, timedelta]:
    """Read the zone and the interval of a schedule. Raises Invalid."""
    zone, rest = _zone(_without_name(text))
    try:
        interval = durations.to_timedelta(rest.removeprefix(_EVERY).strip())
    except OverflowError:
        interval = timedelta(0)
    if interval < _SECOND or interval % _SECOND:
        raise Invalid(f"{rest[:64]!r} is not an interval of whole seconds, such as every 90s")
    return zone, interval


def _next_interval(zone: tzinfo, interval: timedelta, moment: datetime) -> datetime:
    if interval % _DAY:
        anchor = datetime(1970, 1, 1, tzinfo=zone).astimezone(UTC)
        return anchor + ((moment - anchor) // interval + 1) * interval
    days, today = interval // _DAY, moment.astimezone(zone).date().toordinal() - _FIRST_DAY
    following = _FIRST_DAY + (today // days + 1) * days
    if following > date.max.toordinal():
        raise OverflowError
    day = date.fromordinal(following)
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _without_name(text: str) -> str:
    """Cut off the name of a schedule."""
    if len(text) > _MOST_CHARS:
        raise Invalid(f"{text[:64]!r} is not a schedule: it has over {_MOST_CHARS} characters")
    return text.partition(" #")[0].strip()


@lru_cache(maxsize=4096)
def _parse(text: str) -> _Schedule:
    zone, rest = _zone(_without_name(text))
    fields = _DESCRIPTORS.get(rest, rest).split()
    if len(fields) != 5:
        raise Invalid(f"{text[:64]!r} is not a schedule: write five fields, like 0 9 * * 1-5")
    minute, hour, day, month, weekday = fields
    return _Schedule(
        zone=zone,
        minute=_field(minute, "minute", 0, 59, {}),
        hour=_field(hour, "hour", 0, 23, {}),
        day=_field(day, "day of the month", 1, 31, {}),
        month=_field(month, "month", 1, 12, _MONTHS),
        weekday=_field(weekday.removeprefix("&"), "weekday", 0, 6, _WEEKDAYS),
        both=weekday.startswith("&"),
    )


def _zone(text: str) -> tuple[tzinfo, str]:
    """Split `TZ=<IANA zone>` off a schedule. Raises Invalid."""
    if not text.startswith(("TZ=", "CRON_TZ=")):
        return UTC, text.strip()
    given, _, rest = text.partition(" ")
    name = given.partition("=")[2]
    try:
        return ZoneInfo(name), rest.strip()
    except (ValueError, LookupError, OSError) as error:
        raise Invalid(f"{name[:64]!r} is not a time zone: write it like Europe/Paris") from error


def _field(text: str, name: str, least: int, most: int, names: Mapping[str, int]) -> _Field:
    values: set[int] = set()
    is_open = False
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = _number(step_text, name, {}) if slash else 1
        if span in ("*", "?"):
            low, high = least, most
            is_open = is_open or step == 1
        else:
            start, dash, end = span.partition("-")
            low = _number(start, name, names)
            high = _number(end, name, names) if dash else (most if slash else low)
        if step < 1 or not least <= low <= high <= most:
            raise Invalid(f"{part[:32]!r} is not a {name}: it goes from {least} to {most}")
        values.update(range(low, high + 1, step))
    return _Field(frozenset(values), is_open)


def _number(text: str, name: str, names: Mapping[str, int]) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 4:
        return int(text)
    if (number := names.get(text.lower())) is not None:
        return number
    raise Invalid(f"{text[:32]!r} is not a {name} of a schedule")
