"""Check JSON values that come from outside, and word the errors."""

import re

from ..errors import Invalid

# How deep JSON from outside may be nested: an event, a result, an error, an input. The rest up to
# canonical.READABLE_LEVELS is for what wraps it: the server's own events hold a run's event and
# result, the events of failure handlers' runs hold those, and all must be readable.
MOST_LEVELS = 150
CUT = '"[nested too deep]"'
_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])')


def kind(value: object) -> str:
    """Name a JSON value's type for error messages."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    names: dict[type, str] = {str: "a string", list: "an array", dict: "an object"}
    if value is None:
        return "null"
    # expressions make lists and objects of types of their own
    return next((name for one, name in names.items() if isinstance(value, one)), "another type")


def check_text(value: str, label: str, limit: int, field: str, code: str | None = None) -> str:
    """Return the text if every database can store and index it; `limit` is in bytes of UTF-8.

    Raises Invalid for longer text, for a NUL character, which PostgreSQL cannot store, and for half
    of a surrogate pair, which UTF-8 cannot hold.
    """
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Invalid(f"{label} holds half of a surrogate pair", field=field, code=code) from None
    if "\0" in value:
        raise Invalid(f"{label} holds a NUL character: remove it", field=field, code=code)
    if size > limit:
        text = f"{label} is too long: Max {limit} bytes / Size {size} bytes"
        raise Invalid(text, field=field, code=code)
    return value


def is_deeper(text: str, levels: int) -> bool:
    """Say whether JSON text has more than `levels` arrays and objects within each other."""
    if text.count("[") + text.count("{") <= levels:  # nearly always, and it saves the scan
        return False
    depth = 0
    for mark in _MARK.finditer(text):
        depth += (mark[1] is not None) - (mark[2] is not None)
        if depth > levels:
            return True
    return False


def cut(text: str, levels: int) -> str:
    """Replace arrays and objects beyond `levels` levels of JSON text by CUT."""
    kept, depth, start = [], 0, 0
    for mark in _MARK.finditer(text):
        depth += mark[1] is not None
        if depth == levels + 1 and mark[1] is not None:
            kept += [text[start : mark.start()], CUT]
            start = len(text)
        elif depth == levels + 1 and mark[2] is not None:
            start = mark.end()
        depth -= mark[2] is not None
    return "".join([*kept, text[start:]])
