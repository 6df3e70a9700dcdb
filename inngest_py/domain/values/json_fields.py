"""Read the fields of a JSON object from outside: an error names the field's path and the fix."""

import math
from datetime import datetime
from typing import ClassVar, Self

from ..errors import Invalid
from . import times
from .checks import check_text, kind
from .json_types import JsonObject

MAX_INTEGER = 2**31 - 1
MAX_TEXT_BYTES = 2048


class JsonFields:
    """A JSON object at a path; null means that a field is absent.

    Each reader returns None for an absent field, and raises Invalid for a value that is wrong. Its
    code is `code` if given, else the class's.
    """

    WHOLE: ClassVar = "the body"  # what an object without a path is called
    CODE: ClassVar[str | None] = None
    MISSING_CODE: ClassVar[str | None] = None

    def __init__(self, given: object, path: str = "", code: str | None = None) -> None:
        if not isinstance(given, dict):
            what = path or self.WHOLE
            problem = f"must be an object, not {kind(given)}"
            raise Invalid(f"{what} {problem}", field=what, code=code or self.CODE)
        self.given: JsonObject = given
        self.path = path

    @classmethod
    def listed(cls, value: object, path: str, most: int, code: str | None = None) -> list[Self]:
        """Check an array of at most `most` objects."""
        if not isinstance(value, list):
            problem = f"must be an array, not {kind(value)}"
            raise Invalid(f"{path} {problem}", field=path, code=code or cls.CODE)
        if len(value) > most:
            problem = f"holds {len(value)} items: at most {most} are allowed"
            raise Invalid(f"{path} {problem}", field=path, code=code or cls.CODE)
        return [cls(item, f"{path}[{place}]", code) for place, item in enumerate(value)]

    def at(self, key: str) -> str:
        """Return the path of a key."""
        return f"{self.path}.{key}" if self.path else key

    def wrong(self, key: str, problem: str, code: str | None = None) -> Invalid:
        """Make the error for a field: its path, then what is wrong and what to write instead."""
        return Invalid(f"{self.at(key)} {problem}", field=self.at(key), code=code or self.CODE)

    def missing(self, key: str) -> Invalid:
        """Make the error for a field that has to be there."""
        return self.wrong(key, "is missing", self.MISSING_CODE)

    def get(self, key: str) -> object:
        """Read a value of any type."""
        return self.given.get(key)

    def text(self, key: str, limit: int = MAX_TEXT_BYTES, code: str | None = None) -> str | None:
        """Read a string of at most `limit` bytes; an empty one counts as absent."""
        value = self.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise self.wrong(key, f"must be a string, not {kind(value)}", code)
        self.check_text(key, value, limit, code)
        return value

    def check_text(self, key: str, value: str, limit: int, code: str | None) -> None:
        """Check that a text can be stored."""
        check_text(value, self.at(key), limit, self.at(key), code or self.CODE)

    def needed(self, key: str, limit: int = MAX_TEXT_BYTES) -> str:
        """Read a string that must be there."""
        value = self.text(key, limit)
        if value is None:
            raise self.missing(key)
        return value

    def integer(self, key: str, least: int = 0, code: str | None = None) -> int | None:
        """Read a whole number from `least` to MAX_INTEGER."""
        value = self.get(key)
        return None if value is None else whole(value, self.at(key), least, code or self.CODE)

    def time(self, key: str) -> datetime | None:
        """Read a time; an empty text counts as absent."""
        value = self.get(key)
        if value is None or value == "":
            return None
        try:
            if isinstance(value, str):
                return times.parse_time(value)
        except Invalid:
            pass
        raise self.wrong(key, "must be an RFC 3339 time")

    def object(self, key: str, code: str | None = None) -> Self | None:
        """Read an object."""
        value = self.get(key)
        return None if value is None else type(self)(value, self.at(key), code)

    def objects(self, key: str, most: int, code: str | None = None) -> list[Self]:
        """Read an array of at most `most` objects; an absent field gives an empty list."""
        value = self.get(key)
        return [] if value is None else self.listed(value, self.at(key), most, code)


def whole(value: object, path: str, least: int = 0, code: str | None = None) -> int:
    """Check a number: whole, and from `least` to MAX_INTEGER."""
    problem = None
    if isinstance(value, bool) or not isinstance(value, int | float):
        problem = f"must be an integer, not {kind(value)}"
    elif isinstance(value, float) and not math.isfinite(value):
        problem = "must be a finite integer"
    elif value != int(value):
        problem = "must be a whole number"
    elif not least <= value <= MAX_INTEGER:
        problem = f"must lie between {least} and {MAX_INTEGER}"
    else:
        return int(value)
    raise Invalid(f"{path} {problem}", field=path, code=code)
