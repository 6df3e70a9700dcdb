"""Filters in CEL over stored events and runs, and the conditions that a database can check.

Invariant: what matches a filter fulfils all its conditions. When the filter is exact, what fulfils
them also matches (protocol: api.md §5.5, expressions.md §4).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .. import cel
from ..cel.nodes import Call, Literal, Node, Path
from ..errors import Invalid

EVENT = frozenset({"event"})
RUN = frozenset({"event", "output", "error"})
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST_KEYS = 10
_MOST_LINES = 50
_MOST_TEXT = 1024
_MOST_EXACT = 2**53 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_MS = 253_402_300_799_000  # the end of the year 9999


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of a field of the event with a constant.

    The fields `name` and `id` are compared with texts, `ts` with times. Others are in `data` or
    `user`, and equal a text, a bool or a whole number that a double holds exactly.
    """

    field: tuple[str, ...]
    sign: str
    value: object

    @property
    def in_json(self) -> bool:
        """Whether a database has to read the event's JSON for the field."""
        return self.field[0] in ("data", "user")


@dataclass(frozen=True, slots=True)
class Filter:
    """Expressions that must all hold, with the conditions that follow from them."""

    texts: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    exact: bool = False

    def matches(self, variables: Mapping[str, object], now: datetime) -> bool:
        """Say whether all expressions are true of an event or run; an error is no match."""
        return all(cel.matches(text, variables, now) for text in self.texts)


def parse(text: str, variables: frozenset[str]) -> Filter:
    """Read a filter over `variables` (EVENT or RUN): one expression per line. Raises Invalid."""
    lines = tuple(line for line in (line.strip() for line in text.splitlines()) if line)
    texts = _expressions(lines, text, variables) if len(lines) > 1 else (text,)
    if texts == (text,):
        cel.check(text, variables)
    found: list[Condition] = []
    exact = True
    rest: list[Node] = [cel.compile(each).node for each in reversed(texts)]
    while rest:
        node = rest.pop()
        if isinstance(node, Call) and node.name == "&&" and not node.method:
            rest.extend(reversed(node.args))
            continue
        condition = _condition(node)
        exact = exact and condition is not None and not condition.in_json
        if condition is not None:
            found.append(condition)
    return Filter(texts, tuple(found), exact)


def _expressions(lines: tuple[str, ...], whole: str, variables: frozenset[str]) -> tuple[str, ...]:
    """Return the lines as expressions, or the whole text as one that was broken into lines."""
    if len(lines) > _MOST_LINES:
        raise Invalid(f"there are {len(lines)} expressions: at most {_MOST_LINES} are allowed")
    for number, line in enumerate(lines, start=1):
        try:
            cel.check(line, variables)
        except Invalid as error:
            try:
                cel.check(whole, variables)
            except Invalid:
                raise Invalid(f"line {number}: {error.message}") from None
            return (whole,)
    return lines


def _condition(node: Node) -> Condition | None:
    if not isinstance(node, Call) or node.method or node.name not in _MIRRORED:
        return None
    left, right = node.args
    sign = node.name
    if isinstance(left, Literal):
        left, right, sign = right, left, _MIRRORED[sign]
    if not isinstance(left, Path) or left.root != "event" or not isinstance(right, Literal):
        return None
    value = right.value
    if left.fields == ("ts",):
        return _time_condition(sign, value)
    if sign != "==":
        return None
    if left.fields in (("name",), ("id",)):
        return Condition(left.fields, sign, value) if isinstance(value, str) else None
    return _json_condition(left.fields, value)


def _time_condition(sign: str, value: object) -> Condition | None:
    """Turn milliseconds into a time; a fraction of a millisecond gives no condition."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= _MOST_MS or int(value) != value:
        return None
    return Condition(("ts",), sign, _EPOCH + timedelta(milliseconds=int(value)))


def _json_condition(path: tuple[str, ...], value: object) -> Condition | None:
    """Make a condition if both databases read the path and the constant alike, else None.

    Null and fractions are left to the expression: a missing value equals null (expressions.md
    §4.1), and each database rounds fractions in its own way.
    """
    if len(path) < 2 or path[0] not in ("data", "user") or len(path) > _MOST_KEYS:
        return None
    if not all(_PLAIN_KEY.fullmatch(key) for key in path):
        return None
    if isinstance(value, bool):
        return Condition(path, "==", value)
    if isinstance(value, str):
        return Condition(path, "==", value) if len(value) <= _MOST_TEXT else None
    if isinstance(value, int | float) and abs(value) <= _MOST_EXACT and int(value) == value:
        return Condition(path, "==", int(value))
    return None


def check_text(text: str, field: str) -> str:
    """Return text that can be stored and compared. Raises Invalid, naming the field."""
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise Invalid(f"{field} holds a NUL character or half of a surrogate pair", field=field)
    return text
