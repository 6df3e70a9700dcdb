"""Paths to fields of events, such as `event.data.order_id`."""

import re
from dataclasses import dataclass

from ..errors import Invalid
from . import canonical
from .json_types import JsonObject

_MOST_CHARS = 200
_MOST_PARTS = 10
_ROOT = "event"
_PART = re.compile(r"[A-Za-z0-9_$-]{1,80}")


@dataclass(frozen=True, slots=True)
class PayloadPath:
    """A path as it was written, and its parts without `event`."""

    text: str
    parts: tuple[str, ...]

    def find(self, event: JsonObject) -> object:
        """Return the field of an event; None if it is absent. A number in a list is an index."""
        found: object = event
        for part in self.parts:
            if isinstance(found, dict):
                found = found.get(part)
            elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
                found = found[int(part)]
            else:
                return None
        return found


def parse(text: str, field: str) -> PayloadPath:
    """Read a path. Raises Invalid, which names the field."""
    root, *parts = text.split(".")
    well = root == _ROOT and parts and all(_PART.fullmatch(part) for part in parts)
    if not well or len(parts) > _MOST_PARTS or len(text) > _MOST_CHARS:
        raise Invalid(
            f"{field} must be a path such as event.data.order_id, of at most {_MOST_PARTS} names",
            field=field,
        )
    return PayloadPath(text, tuple(parts))


def shown(value: object) -> str:
    """Write a field's value for people; empty for an absent one."""
    if value is None:
        return ""
    return value if isinstance(value, str) else canonical.dumps(value).decode()
