"""Cursors: positions in lists, as clients get them and send them back."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from ..errors import Invalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOST_MICROSECONDS = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_MOST_CHARS = 4096

Kind = type[str] | type[int] | type[datetime]


def refusal(field: str) -> Invalid:
    """Make the error for a cursor that is not one of its list; `field` is the parameter's name."""
    return Invalid(
        f"the cursor is not one of this list in this order: leave `{field}` out to begin again",
        field=field,
        code="invalid_field_format",
    )


def encode(order: str, position: Sequence[object]) -> str:
    """Write a position (texts, whole numbers, times) in a list whose order has this name."""
    values = [
        (value - _EPOCH) // _MICROSECOND if isinstance(value, datetime) else value
        for value in position
    ]
    return base64.urlsafe_b64encode(orjson.dumps([order, *values])).decode().rstrip("=")


def decode(order: str, kinds: Sequence[Kind], cursor: str, field: str) -> list[Any]:
    """Read a cursor that encode() wrote for the same order. Raises Invalid, which names the field.

    `kinds` are the types of the position's values.
    """
    if len(cursor) > _MOST_CHARS:
        raise refusal(field)
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        found = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise refusal(field) from None
    if not isinstance(found, list) or len(found) != len(kinds) + 1 or found[0] != order:
        raise refusal(field)
    return [_value(kind, value, field) for kind, value in zip(kinds, found[1:], strict=True)]


def _value(kind: Kind, value: object, field: str) -> object:
    if kind is str and isinstance(value, str) and "\0" not in value:
        return value
    if kind is not str and type(value) is int and 0 <= value <= _MOST_MICROSECONDS:
        return value if kind is int else _EPOCH + value * _MICROSECOND
    raise refusal(field)
