"""Read the fields of a function's configuration."""

from collections.abc import Callable
from datetime import timedelta

from .. import cel
from ..errors import Invalid
from ..values import durations
from ..values.json_fields import JsonFields

CONFIG = "config_invalid"
MAX_NAME_CHARS = 255
MAX_EXPRESSION_CHARS = 8192


def wrong(field: str, text: str, code: str = CONFIG) -> Invalid:
    """Build the error for a field: its path, then what is wrong and what to write instead."""
    return Invalid(f"{field} {text}", field=field, code=code)


class Fields(JsonFields):
    """A JSON object of a configuration; an empty array, too, means that a field is absent.

    Keys match in upper and lower case, and the last of several counts, as in Go's standard library
    (sync.md §4.1): SDKs rely on it.
    """

    WHOLE = "the payload"
    CODE = CONFIG

    def __init__(self, given: object, path: str = "", code: str | None = None) -> None:
        super().__init__(given, path, code)
        items = self.given.items()
        self._folded = {key.casefold(): value for key, value in items if value is not None}

    def has(self, key: str) -> bool:
        """Say whether a field is there, with any value except null."""
        return key.casefold() in self._folded

    def get(self, key: str) -> object:
        """Read a value of any type."""
        value = self._folded.get(key.casefold())
        return None if value == [] else value

    def text(self, key: str, limit: int = MAX_NAME_CHARS, code: str | None = None) -> str | None:
        """Read a string of at most `limit` characters; an empty one counts as absent."""
        return super().text(key, limit, code)

    def check_text(self, key: str, value: str, limit: int, code: str | None) -> None:
        """Check that a text can be stored."""
        if len(value) > limit:
            raise self.wrong(key, f"is over {limit} characters: shorten it", code)
        if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value):
            raise self.wrong(key, "holds a NUL or half a surrogate pair: remove it", code)

    def duration(
        self,
        key: str,
        least: timedelta | None = None,
        most: timedelta | None = None,
        code: str | None = None,
    ) -> timedelta | None:
        """Read a duration such as 90s or 1h30m (waits.md §1), within bounds where given."""
        given = self.get(key)
        if isinstance(given, int | float) and not isinstance(given, bool):  # of which unit?
            raise self.wrong(key, "must be a text with a unit: write 30s, 5m, 2h or 7d", code)
        value = self.text(key, code=code)
        if value is None:
            return None
        try:
            found = durations.to_timedelta(value)
        except Invalid:
            raise self.wrong(key, "is not a duration: write 30s, 5m, 2h or 7d", code) from None
        if least is not None and found < least:
            raise self.wrong(key, f"must be at least {_seconds(least)}", code)
        if most is not None and found > most:
            raise self.wrong(key, f"must be at most {_seconds(most)}", code)
        return found

    def positive(self, key: str, most: timedelta | None = None) -> timedelta:
        """Read a duration that must be there and above zero."""
        found = self.duration(key, most=most)
        if found is None or found <= timedelta(0):
            raise self.wrong(key, "must be a duration above zero, such as 1m")
        return found

    def expression(
        self, key: str, code: str | None = None, check: Callable[[str], object] | None = None
    ) -> str | None:
        """Read a CEL expression that compiles; an empty one counts as absent."""
        value = self.text(key, MAX_EXPRESSION_CHARS, code)
        if value is None:
            return None
        try:
            (check or cel.check)(value)
        except Invalid as error:
            raise self.wrong(key, f"is not a valid expression: {error.message}", code) from None
        return value


def _seconds(value: timedelta) -> str:
    return f"{value.total_seconds():g}s"
