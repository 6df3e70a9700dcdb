"""Read a configuration's fields: an error names the field's path and the fix."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from .. import cel
from ..errors import Invalid
from ..values import durations
from ..values.checks import kind
from ..values.json_types import JsonObject

CONFIG = "config_invalid"
MAX_NAME_CHARS = 255
MAX_EXPRESSION_CHARS = 8192
MAX_INTEGER = 2**31 - 1


def wrong(field: str, text: str, code: str = CONFIG) -> Invalid:
    """Build the error for a field: its path, then what is wrong and what to write instead."""
    return Invalid(f"{field} {text}", field=field, code=code)


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object at a path; null and an empty array mean that a field is absent.

    Keys match in upper and lower case, and the last of several counts, as in Go's standard library
    (sync.md §4.1): SDKs rely on it. Each reader returns None for an absent field and raises Invalid
    for a value of a wrong type.
    """

    given: JsonObject
    path: str = ""
    _folded: JsonObject = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        items = self.given.items()
        folded = {key.casefold(): value for key, value in items if value is not None}
        object.__setattr__(self, "_folded", folded)

    @classmethod
    def of(cls, value: object, path: str, code: str = CONFIG) -> "Fields":
        """Make Fields of a value, which must be an object."""
        if not isinstance(value, dict):
            raise wrong(path or "the payload", f"must be an object, not {kind(value)}", code)
        return cls(value, path)

    def at(self, key: str) -> str:
        """Return the path of a key."""
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        """Say whether a field is there, with any value except null."""
        return key.casefold() in self._folded

    def get(self, key: str) -> object:
        """Read a value of any type."""
        value = self._folded.get(key.casefold())
        return None if value == [] else value

    def text(self, key: str, limit: int = MAX_NAME_CHARS, code: str = CONFIG) -> str | None:
        """Read a string of at most `limit` characters; an empty one counts as absent."""
        value = self.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise wrong(self.at(key), f"must be a string, not {kind(value)}", code)
        if len(value) > limit:
            raise wrong(self.at(key), f"is over {limit} characters: shorten it", code)
        if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value):
            raise wrong(self.at(key), "holds a NUL or half a surrogate pair: remove it", code)
        return value

    def integer(self, key: str, least: int = 0, code: str = CONFIG) -> int | None:
        """Read a whole number from `least` to MAX_INTEGER."""
        value = self.get(key)
        return None if value is None else whole(value, self.at(key), least, code)

    def duration(
        self,
        key: str,
        least: timedelta | None = None,
        most: timedelta | None = None,
        code: str = CONFIG,
    ) -> timedelta | None:
        """Read a duration such as 90s or 1h30m (waits.md §1), within bounds where given."""
        value = self.text(key, code=code)
        if value is None:
            return None
        try:
            found = durations.to_timedelta(value)
        except Invalid:
            raise wrong(self.at(key), "is not a duration: write 30s, 5m, 2h or 7d", code) from None
        if least is not None and found < least:
            raise wrong(self.at(key), f"must be at least {_seconds(least)}", code)
        if most is not None and found > most:
            raise wrong(self.at(key), f"must be at most {_seconds(most)}", code)
        return found

    def positive(self, key: str, most: timedelta | None = None) -> timedelta:
        """Read a duration that must be there and above zero."""
        found = self.duration(key, most=most)
        if found is None or found <= timedelta(0):
            raise wrong(self.at(key), "must be a duration above zero, such as 1m")
        return found

    def expression(
        self,
        key: str,
        code: str = CONFIG,
        check: Callable[[str], object] | None = None,
    ) -> str | None:
        """Read a CEL expression that compiles; an empty one counts as absent."""
        value = self.text(key, MAX_EXPRESSION_CHARS, code)
        if value is None:
            return None
        try:
            (check or cel.check)(value)
        except Invalid as error:
            problem = f"is not a valid expression: {error.message}"
            raise wrong(self.at(key), problem, code) from None
        return value

    def object(self, key: str, code: str = CONFIG) -> "Fields | None":
        """Read an object."""
        value = self.get(key)
        return None if value is None else Fields.of(value, self.at(key), code)

    def objects(self, key: str, most: int, code: str = CONFIG) -> "list[Fields]":
        """Read an array of at most `most` objects; an absent field gives an empty list."""
        value = self.get(key)
        return [] if value is None else listed(value, self.at(key), most, code)


def whole(value: object, path: str, least: int = 0, code: str = CONFIG) -> int:
    """Check a number: whole, and from `least` to MAX_INTEGER."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(path, f"must be an integer, not {kind(value)}", code)
    if isinstance(value, float) and not math.isfinite(value):
        raise wrong(path, "must be a finite integer", code)
    if value != int(value):
        raise wrong(path, "must be a whole number", code)
    if not least <= value <= MAX_INTEGER:
        raise wrong(path, f"must lie between {least} and {MAX_INTEGER}", code)
    return int(value)


def listed(value: object, path: str, most: int, code: str = CONFIG) -> list[Fields]:
    """Check an array of at most `most` objects."""
    if not isinstance(value, list):
        raise wrong(path, f"must be an array, not {kind(value)}", code)
    if len(value) > most:
        raise wrong(path, f"holds {len(value)} items: at most {most} are allowed", code)
    return [Fields.of(item, f"{path}[{place}]", code) for place, item in enumerate(value)]


def _seconds(value: timedelta) -> str:
    return f"{value.total_seconds():g}s"
