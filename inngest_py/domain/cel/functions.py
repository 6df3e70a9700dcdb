"""The functions of expressions (protocol: expressions.md §3).

None of them gets a missing value: a call with one is false, or 0 for size() (§4.1).
"""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import re2

from ..errors import Invalid
from ..values import canonical, durations, times
from . import values
from .errors import CelError
from .nodes import CelList, CelMap, CelType, UInt
from .values import no_overload

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_2000 = 946684800
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1 << 20


@lru_cache(maxsize=512)
def _pattern(text: str) -> Any:
    try:
        return re2.compile(text, options=_OPTIONS)
    except re2.error as error:
        raise CelError(f"bad regular expression: {text[:64]!r}") from error


def _texts(name: str, *given: object) -> None:
    if not all(isinstance(one, str) for one in given):
        raise no_overload(name)


def _matches(text: str, pattern: str) -> bool:
    _texts("matches", text, pattern)
    return _pattern(pattern).search(text) is not None


def _contains(text: str, part: str) -> bool:
    _texts("contains", text, part)
    return part in text


def _starts_with(text: str, part: str) -> bool:
    _texts("startsWith", text, part)
    return text.startswith(part)


def _ends_with(text: str, part: str) -> bool:
    _texts("endsWith", text, part)
    return text.endswith(part)


def _lowercase(text: str) -> str:
    _texts("lowercase", text)
    return text.lower()


def _uppercase(text: str) -> str:
    _texts("uppercase", text)
    return text.upper()


def _b64decode(text: str) -> str:
    """Decode base64; any other text gives the empty string."""
    _texts("b64decode", text)
    try:
        return base64.b64decode(text, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return ""


def _json_parse(text: str) -> object:
    """Read JSON; any other text gives an empty map."""
    _texts("json_parse", text)
    try:
        value = canonical.loads(text)
    except Invalid:
        return CelMap()
    return float(value) if type(value) is int else value


def _size(value: object) -> int:
    """Count characters, bytes or elements; false for any other value, also for null (§4.2)."""
    return len(value) if isinstance(value, str | bytes | list | dict) else False


def _date(value: object) -> datetime:
    """Read a time from text, or from an integer, whose size decides its unit."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        return times.read_time(value)
    if type(value) is not int:
        raise no_overload("date")
    if value < _YEAR_2000:
        raise CelError("a number as a date must be after the year 2000")
    if value < 9_999_999_999:
        return _EPOCH + timedelta(seconds=value)
    if value < 9_999_999_999_999:
        return _EPOCH + timedelta(milliseconds=value)
    return _EPOCH + timedelta(microseconds=value // 1000)


def _timestamp(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if type(value) is int:
        return _EPOCH + timedelta(seconds=value)
    if isinstance(value, str) and "T" in value.upper():
        return times.read_time(value)
    raise no_overload("timestamp")


def _duration(value: str | timedelta) -> timedelta:
    """Read a duration of standard CEL, which has neither days nor weeks."""
    if isinstance(value, timedelta):
        return value
    _texts("duration", value)
    if "d" in value or "w" in value:
        raise CelError(f"{value[:64]!r} is not a duration")
    return durations.to_timedelta(value)


def _int(value: object) -> int:
    if isinstance(value, bool):
        raise no_overload("int")
    if isinstance(value, int | float):
        return values.whole(int, int(value))
    if isinstance(value, str):
        return values.whole(int, _digits(value, "int"))
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(seconds=1)
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1) * 1000
    raise no_overload("int")


def _uint(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise no_overload("uint")
    return values.whole(UInt, _digits(value, "uint") if isinstance(value, str) else int(value))


def _digits(text: str, name: str) -> int:
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 40):
        raise CelError(f"{name}() cannot read {text[:64]!r}")
    return int(text)


def _double(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise no_overload("double")
    if isinstance(value, str) and (value != value.strip() or "_" in value):
        raise CelError(f"double() cannot read {value[:64]!r}")
    return float(value)


def _string(value: object) -> str:
    if isinstance(value, list | dict):
        raise no_overload("string")
    return "null" if value is None else values.scalar_text(value)


def _bytes(value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    _texts("bytes", value)
    return value.encode()


def _bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "True", "TRUE", "t", "1"):
        return True
    if value in ("false", "False", "FALSE", "f", "0"):
        return False
    raise no_overload("bool")


def _of_time(name: str, read: Callable[[datetime], int]) -> Callable[..., int]:
    def part(value: object, zone: str = "UTC") -> int:
        if not isinstance(value, datetime):
            raise no_overload(name)
        return read(value.astimezone(_zone(zone)))

    return part


def _of_time_or_duration(
    name: str, read: Callable[[datetime], int], unit: timedelta
) -> Callable[..., int]:
    of_time = _of_time(name, read)

    def part(value: object, zone: str = "UTC") -> int:
        if isinstance(value, timedelta):
            count = abs(value) // unit
            return count if value >= timedelta(0) else -count
        return of_time(value, zone)

    return part


def _zone(name: str) -> tzinfo:
    _texts("time zone", name)
    if name == "UTC":
        return UTC
    sign, digits = name[:1], name.lstrip("+-")
    if len(digits) == 5 and digits[2] == ":" and (digits[:2] + digits[3:]).isdecimal():
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[3:]))
        return timezone(-offset if sign == "-" else offset)
    try:
        return ZoneInfo(name)
    except (ValueError, LookupError, OSError) as error:
        raise CelError(f"{name[:64]!r} is not a time zone") from error


def _same(value: object) -> object:
    return value


FUNCTIONS: dict[str, Callable[..., object]] = {
    "b64decode": _b64decode,
    "bool": _bool,
    "bytes": _bytes,
    "contains": _contains,
    "date": _date,
    "double": _double,
    "duration": _duration,
    "dyn": _same,
    "endsWith": _ends_with,
    "getDate": _of_time("getDate", lambda at: at.day),
    "getDayOfMonth": _of_time("getDayOfMonth", lambda at: at.day - 1),
    "getDayOfWeek": _of_time("getDayOfWeek", lambda at: at.isoweekday() % 7),
    "getDayOfYear": _of_time("getDayOfYear", lambda at: at.timetuple().tm_yday - 1),
    "getFullYear": _of_time("getFullYear", lambda at: at.year),
    "getHours": _of_time_or_duration("getHours", lambda at: at.hour, timedelta(hours=1)),
    "getMilliseconds": _of_time_or_duration(
        "getMilliseconds", lambda at: at.microsecond // 1000, timedelta(milliseconds=1)
    ),
    "getMinutes": _of_time_or_duration("getMinutes", lambda at: at.minute, timedelta(minutes=1)),
    "getMonth": _of_time("getMonth", lambda at: at.month - 1),
    "getSeconds": _of_time_or_duration("getSeconds", lambda at: at.second, timedelta(seconds=1)),
    "int": _int,
    "json_parse": _json_parse,
    "lowercase": _lowercase,
    "matches": _matches,
    "size": _size,
    "startsWith": _starts_with,
    "string": _string,
    "timestamp": _timestamp,
    "type": lambda value: CelType(values.type_name(value)),
    "uint": _uint,
    "uppercase": _uppercase,
}
# These functions get the present time as their first argument.
TIMED: dict[str, Callable[..., object]] = {
    "now": lambda now: now,
    "now_minus": lambda now, text: now - durations.to_timedelta(text),
    "now_plus": lambda now, text: now + durations.to_timedelta(text),
}
# Which calls the type check allows (§9). The target of a method counts as an argument.
_METHODS_ONLY = frozenset(
    name for name in (*FUNCTIONS, "contains", "startsWith", "endsWith") if name.startswith("get")
) | {"contains", "startsWith", "endsWith"}
_BOTH = frozenset({"lowercase", "uppercase", "b64decode", "json_parse", "date", "size", "matches"})
_TWO = frozenset({"contains", "startsWith", "endsWith", "matches"})
TYPES = {
    name: CelType(name)
    for name in [
        "bool",
        "bytes",
        "double",
        "int",
        "list",
        "map",
        "null_type",
        "string",
        "type",
        "uint",
    ]
}


def declared(name: str, count: int, *, method: bool) -> bool:
    """Say whether the type check allows a call with `count` arguments."""
    if name in TIMED:
        if method:
            return name != "now" and count == 1
        return count == (0 if name == "now" else 1)
    if name not in FUNCTIONS or (method and name not in _BOTH | _METHODS_ONLY):
        return False
    if name in _METHODS_ONLY and not method:
        return False
    if name.startswith("get"):
        return count in (1, 2)
    return count == (2 if name in _TWO else 1)


__all__ = ["FUNCTIONS", "TIMED", "TYPES", "CelList", "declared"]
