"""The schema's scalars: how they are written, and what is accepted (protocol: api.md §5.1)."""

import uuid
from datetime import datetime

from ariadne import ScalarType

from ...domain.errors import Invalid
from ...domain.values import ids, times
from ...domain.values.checks import kind
from ...domain.values.json_types import JsonObject
from .. import shapes

_MOST_EXACT = 2**53 - 1
_SHOWN = 64


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{name} must be a string, not {kind(value)}")
    return value


time = ScalarType("Time", serializer=shapes.stamp)


@time.value_parser
def parse_time(value: object) -> datetime:
    """Read an RFC 3339 time. Raises Invalid."""
    return times.parse_time(_text(value, "a time"))


ulid = ScalarType("ULID", serializer=str)


@ulid.value_parser
def parse_ulid(value: object) -> str:
    """Read a ULID. Raises Invalid."""
    text = _text(value, "a ULID")
    if not ids.is_ulid(text.upper()):
        raise Invalid(f"{text[:_SHOWN]!r} is not a ULID: it has 26 characters")
    return text.upper()


uuid_scalar = ScalarType("UUID", serializer=str)


@uuid_scalar.value_parser
def parse_uuid(value: object) -> str:
    """Read a UUID into its usual form. Raises Invalid."""
    text = _text(value, "a UUID")
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise Invalid(f"{text[:_SHOWN]!r} is not a UUID") from None


bytes_scalar = ScalarType("Bytes", serializer=str)


@bytes_scalar.value_parser
def parse_bytes(value: object) -> str:
    """Read raw JSON as text, without parsing it. Raises Invalid."""
    return _text(value, "Bytes, JSON as text,")


map_scalar = ScalarType("Map")


@map_scalar.value_parser
def parse_map(value: object) -> JsonObject:
    """Read a JSON object. Raises Invalid."""
    if not isinstance(value, dict):
        raise Invalid(f"a Map must be an object, not {kind(value)}")
    return value


def _whole(value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or int(value) != value:
        raise Invalid(f"must be a whole number, not {kind(value)}")
    if not least <= value <= _MOST_EXACT:
        raise Invalid(f"must be from {least} to {_MOST_EXACT}")
    return int(value)


uint = ScalarType("Uint", value_parser=lambda value: _whole(value, 0))
int64 = ScalarType("Int64", value_parser=lambda value: _whole(value, -_MOST_EXACT))

SCALARS = (time, ulid, uuid_scalar, bytes_scalar, map_scalar, uint, int64)
