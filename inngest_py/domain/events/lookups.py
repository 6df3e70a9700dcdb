"""Lookups: the part of a wait's expression that an index can hold (expressions.md §7).

With it, an event finds the few waits that it may end, however many there are. The whole expression
is evaluated for each wait found, so two values may share a key.
"""

import hashlib
from collections.abc import Mapping

from .. import cel
from ..cel import elements
from ..cel.nodes import MISSING
from ..values import canonical

# An index row of PostgreSQL holds 2704 bytes: an event's name takes up to 2048 of them.
_LONGEST_PATH = 200
_LONGEST_KEY = 128


def lookup(expression: str) -> tuple[str, str]:
    """Find the part of an expression for the index: a path into the event, and a value's key.

    Strings are preferred to numbers, and numbers to bools, because they match fewer events. Both
    are "" when no part of the expression is an equality.
    """
    found = [(path, value) for path, value in cel.equalities(expression) if path]
    for wanted in (str, float, bool):
        for path, value in found:
            written = canonical.dumps(list(path)).decode()
            if type(value) is wanted and len(written.encode()) <= _LONGEST_PATH:
                return written, _key(value)
    return "", ""


def key_in(event: Mapping[str, object], path: str) -> str | None:
    """Return an event's key at a path of lookup(); None when no stored key can equal it."""
    if not path:
        return ""
    value: object = event
    for name in canonical.loads(path):
        value = elements.element(value, name)
        if value is MISSING:
            return None
    return _key(value) if isinstance(value, str | float | bool) else None


def _key(value: str | float | bool) -> str:
    # adding 0.0 makes -0.0 and 0.0 one key; an index can hold neither long keys nor NUL
    text = cel.key_text(value + 0.0 if isinstance(value, float) else value)
    if len(text.encode()) <= _LONGEST_KEY and "\0" not in text:
        return text
    return hashlib.sha256(text.encode()).hexdigest()
