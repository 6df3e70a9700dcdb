"""Schedules of Celery's beat, written as those of cron triggers."""

from collections.abc import Set
from dataclasses import dataclass

from ..errors import Invalid

_DAY, _HOUR, _MINUTE = 86_400, 3_600, 60


@dataclass(frozen=True, slots=True)
class Crontab:
    """The values of a crontab's five fields. Both day fields have to match, as Celery has it."""

    minute: Set[int]
    hour: Set[int]
    day: Set[int]
    month: Set[int]
    weekday: Set[int]

    def schedule(self, zone: str) -> str:
        """Write it in the syntax of crons, with its time zone."""
        weekday = _field(self.weekday, 0, 6)
        day = _field(self.day, 1, 31)
        if weekday != "*" and day != "*":
            weekday = f"&{weekday}"
        fields = (_field(self.minute, 0, 59), _field(self.hour, 0, 23), day)
        return _zoned(" ".join((*fields, _field(self.month, 1, 12), weekday)), zone)


def interval(seconds: float, zone: str, *, relative: bool) -> str:
    """Write an interval. A relative one counts whole days, hours or minutes, its largest unit.

    Raises Invalid for one that is no whole number of seconds.
    """
    if seconds < 1 or seconds != int(seconds):
        raise Invalid(f"its interval of {seconds:g} s is no whole number of seconds")
    whole = int(seconds)
    if relative:
        whole -= whole % next((unit for unit in (_DAY, _HOUR, _MINUTE) if unit <= whole), 1)
    text = f"every {_duration(whole)}"
    return _zoned(text, zone) if relative or whole % _DAY == 0 else text


def _duration(seconds: int) -> str:
    for size, unit in ((_HOUR, "h"), (_MINUTE, "m")):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _zoned(schedule: str, zone: str) -> str:
    return schedule if zone == "UTC" else f"TZ={zone} {schedule}"


def _field(values: Set[int], least: int, most: int) -> str:
    """Write a field: a star, a step, or a list of numbers and ranges."""
    wanted, whole = sorted(values), range(least, most + 1)
    if wanted == list(whole):
        return "*"
    for step in range(2, most + 1):
        if len(wanted) > 2 and wanted == list(whole[::step]):
            return f"*/{step}"
    parts: list[list[int]] = []
    for value in wanted:
        if parts and parts[-1][-1] == value - 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ",".join(str(one[0]) if len(one) == 1 else f"{one[0]}-{one[-1]}" for one in parts)
