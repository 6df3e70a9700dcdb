"""Keys: which bucket of a function's limit an event belongs to (protocol: flow-control.md).

A bucket's name is the function's id and a hash of the key's value, which may have megabytes.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime

from .. import cel
from ..cel import CelError
from ..errors import Invalid

INVALID = "<invalid>"


def bucket(function_id: str, text: str) -> str:
    """Name the bucket of a function for a key's text."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{function_id}:{digest[:32]}"


def function_of(bucket_name: str) -> str:
    """Read the function's id from a bucket's name."""
    return bucket_name.rpartition(":")[0]


def value(expression: str, event: Mapping[str, object], now: datetime) -> tuple[object, str]:
    """Evaluate a key over an event; return the value and its text. Raises Invalid when it fails."""
    try:
        found = cel.evaluate(expression, {"event": event}, now)
        return found, cel.key_text(found)
    except CelError as error:
        raise Invalid(f"the key cannot be evaluated: {error}") from error


def text(expression: str | None, event: Mapping[str, object], now: datetime) -> str:
    """Evaluate a key as text: "" without an expression, `<invalid>` when it fails (§5)."""
    if expression is None:
        return ""
    try:
        return value(expression, event, now)[1]
    except Invalid:
        return INVALID


def unless_false(expression: str | None, event: Mapping[str, object], now: datetime) -> str | None:
    """Evaluate a key as text; None when it is `false`: the limit does not apply to the event.

    Raises Invalid when it fails (§4, §8).
    """
    if expression is None:
        return ""
    found, written = value(expression, event, now)
    return None if found is False else written
