"""Checks of JSON values that come from outside, and the words for what is wrong with them."""

import re

from ..errors import Invalid

# How deep an event, a result, an error, an input or what else anybody gives may be nested. Below
# canonical.READABLE_LEVELS by what wraps it: the server's own events hold the event and the result
# of a run, handlers' events hold those events, and all of them have to be read again.
MOST_LEVELS = 150
CUT = '"[nested too deep]"'
_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])')


def kind(value: object) -> str:
    """Name a JSON value's type for people."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    names = {str: "a string", list: "an array", dict: "an object", type(None): "null"}
    return names.get(type(value), "another type")


def check_text(value: str, label: str, limit: int, field: str) -> str:
    """Return text that every database can store and index; the limit is in bytes of UTF-8.

    Raises Invalid for a NUL character, which PostgreSQL cannot hold, and for half a surrogate
    pair, which has no UTF-8.
    """
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Invalid(f"{label} holds half of a surrogate pair", field=field) from None
    if "\0" in value:
        raise Invalid(f"{label} holds a NUL character: remove it", field=field)
    if size > limit:
        raise Invalid(f"{label} is too long: Max {limit} bytes / Size {size} bytes", field=field)
    return value


def is_deeper(text: str, levels: int) -> bool:
    """Say whether JSON text is nested deeper than so many arrays and objects."""
    if text.count("[") + text.count("{") <= levels:  # nearly always: spares the scan
        return False
    depth = 0
    for mark in _MARK.finditer(text):
        depth += (mark[1] is not None) - (mark[2] is not None)
        if depth > levels:
            return True
    return False


def cut(text: str, levels: int) -> str:
    """Put CUT in the place of what JSON text holds beyond so many levels."""
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
