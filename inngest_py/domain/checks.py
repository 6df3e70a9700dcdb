"""Checks of JSON values that come from outside, and the words for what is wrong with them."""

from .errors import Invalid


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
