"""Write frozen dataclasses as JSON, for JSON columns, and read them back.

Invariant: decode(cls, encode(value)) == value. Fields with None or an empty tuple are left out.
"""

import types
from dataclasses import MISSING, fields
from datetime import datetime, timedelta
from typing import Any, TypeVar, Union, get_args, get_origin

from . import durations

T = TypeVar("T")


def encode(value: object) -> dict[str, Any]:
    """Make a JSON object of a dataclass; durations become texts such as 90s."""
    found = {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]  # any dataclass
    return {name: _encode(item) for name, item in found.items() if item not in (None, ())}


def _encode(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str | int | float) else encode(value)


def duration_text(value: timedelta) -> str:
    """Write a duration such as 90s, which durations.parse() reads."""
    whole = value // timedelta(seconds=1)
    if value == timedelta(seconds=whole):
        return f"{whole}s"
    return f"{value // timedelta(microseconds=1)}us"


def decode(cls: type[T], stored: dict[str, Any]) -> T:
    """Make the dataclass from what encode() returned.

    Parts that only a later version knows are ignored: unknown keys, and members of a tuple that
    are of an unknown kind. Raises ValueError, TypeError or KeyError when a field cannot be read.
    """
    known = {field.name: field.type for field in fields(cls)}  # type: ignore[arg-type]  # any dataclass
    return cls(**{key: _decode(known[key], item) for key, item in stored.items() if key in known})


def _decode(kind: Any, value: Any) -> Any:
    if get_origin(kind) is tuple:
        member = get_args(kind)[0]
        return tuple(_decode(member, item) for item in value if _is_known(member, item))
    options = _options(kind)
    if isinstance(value, dict):
        return decode(_required_class(options, value), value)
    if timedelta in options:
        return durations.to_timedelta(value)
    return datetime.fromisoformat(value) if datetime in options else value


def _is_known(kind: Any, value: Any) -> bool:
    """Say whether this version knows the kind of a tuple's member."""
    return not isinstance(value, dict) or _class_for(_options(kind), value) is not None


def _options(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (types.UnionType, Union) else (kind,)


def _class_for(options: tuple[Any, ...], stored: dict[str, Any]) -> type | None:
    """Choose the class whose required fields are all stored; None when no class fits."""
    for option in options:
        if option is not types.NoneType and all(
            field.name in stored for field in fields(option) if field.default is MISSING
        ):
            return option  # type: ignore[no-any-return]  # an annotation's class
    return None


def _required_class(options: tuple[Any, ...], stored: dict[str, Any]) -> type:
    found = _class_for(options, stored)
    if found is None:
        raise ValueError(f"nothing stored has the fields {sorted(stored)}")
    return found
