"""The operators of expressions, with the relaxed rules of expressions.md §4.

Operands are `Any` where an operator computes with them: it has compared their types before, by
`kind is type(right)`, which mypy does not follow.
"""

import operator
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from .elements import elements
from .errors import CelError
from .literals import INT_LEAST, INT_MOST, UINT_MOST, double_text
from .nodes import MISSING, CelList, CelMap, CelType, UInt

MOST_CHARS = 4 * 1024 * 1024
# Values made by expressions may share parts. Written out, they may be far larger than in memory.
MOST_PARTS = 1_000_000
_MOST_LEVELS = 400
_NUMBERS = (int, float, UInt)
_ORDERED = (float, int, str, UInt, bool, bytes, datetime, timedelta)
_NO_OVERLOAD = "no such overload"
_Sized = TypeVar("_Sized", str, bytes, CelList)


class Meter:
    """Counts work, so that no expression can take forever."""

    __slots__ = ("left",)

    def __init__(self, most: int = MOST_PARTS) -> None:
        self.left = most

    def spend(self, parts: int = 1) -> None:
        """Count parts. Raises CelError when there are too many."""
        self.left -= parts
        if self.left < 0:
            raise CelError("the expression takes too much work")


def no_overload(name: str) -> CelError:
    """Make the error of an operator or function that does not take such values."""
    return CelError(f"{_NO_OVERLOAD}: {name}")


def truthy(value: object) -> bool:
    """Say whether a value counts as true, as in JavaScript: empty lists and maps do (§4.4)."""
    if value is True or value is False:
        return bool(value)
    return not (value is None or value is MISSING or value in (0, ""))


def equal(left: Any, right: Any, meter: Meter | None = None) -> bool:
    """Compare by value: numbers across their types, lists and maps deeply (§4.1, §4.3)."""
    kind = type(left)
    if kind is type(right) and (kind is str or kind is float or kind is bool):
        return bool(left == right)
    if left is MISSING or right is MISSING:
        return left is None or right is None
    if kind in _NUMBERS and type(right) in _NUMBERS:
        if isinstance(left, float) or isinstance(right, float):
            return float(left) == float(right)
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return _lists_equal(left, right, meter or Meter())
    if isinstance(left, dict) and isinstance(right, dict):
        return _maps_equal(left, right, meter or Meter())
    return kind is type(right) and bool(left == right)


def _lists_equal(left: list[object], right: list[object], meter: Meter) -> bool:
    if len(left) != len(right):
        return False
    meter.spend(len(left))
    # all() would put two more frames per level on the stack
    for one, other in zip(left, right, strict=True):  # noqa: SIM110
        if not equal(one, other, meter):
            return False
    return True


def _maps_equal(left: dict[object, object], right: dict[object, object], meter: Meter) -> bool:
    if len(left) != len(right):
        return False
    meter.spend(len(left))
    for key, one in left.items():
        if key not in right or not equal(one, right[key], meter):
            return False
    return True


def unequal(left: object, right: object) -> bool:
    """Say whether values differ."""
    return not equal(left, right)


def _ordering(sign: str, compare: Callable[[Any, Any], bool]) -> Callable[[object, object], bool]:
    less = sign in ("<", "<=")

    def ordered(left: Any, right: Any) -> bool:
        kind, other = type(left), type(right)
        if kind is other and kind in _ORDERED:
            return compare(left, right)
        if left is MISSING or right is MISSING:
            # a missing value is less than any other, and not ordered with another missing one
            first, second = (left, right) if less else (right, left)
            return first is MISSING and second is not MISSING
        if left is None or right is None:
            return _null_ordered(left, right)
        if kind in _NUMBERS and other in _NUMBERS:
            return compare(float(left), float(right))
        raise no_overload(sign)

    def _null_ordered(left: Any, right: Any) -> bool:
        """Compare null as the zero value of the other type (§4.2)."""
        kind = type(right if left is None else left)
        if left is None and right is None:
            return compare(0, 0)
        if kind not in (float, int, str, UInt, bool, bytes):
            raise no_overload(sign)
        return compare(kind() if left is None else left, kind() if right is None else right)

    return ordered


def add(left: Any, right: Any) -> object:
    """Add or concatenate; values of different types are joined as text (§4.1, §4.3)."""
    if left is MISSING or right is MISSING:
        present = right if left is MISSING else left
        return False if present is MISSING else present
    kind = type(left)
    if kind is type(right):
        if kind is float:
            return left + right
        if kind is int or kind is UInt:
            return whole(kind, int(left) + int(right))
        if kind is str or kind is bytes:
            return bounded(left + right)
    if isinstance(left, list) and isinstance(right, list):
        return bounded(CelList(elements(left) + elements(right)))
    if isinstance(left, datetime | timedelta) and isinstance(right, datetime | timedelta):
        if isinstance(left, timedelta) or isinstance(right, timedelta):
            return left + right  # type: ignore[operator]
        raise no_overload("+")
    return bounded(text(left) + text(right))


def add_exactly(left: object, right: object) -> object:
    """Add, or join texts or lists. Raises CelError where add() would make text of a number."""
    kind, other = type(left), type(right)
    if isinstance(left, list) and isinstance(right, list):
        return bounded(CelList(elements(left, exact=True) + elements(right, exact=True)))
    if left is MISSING or right is MISSING or kind is other:
        return add(left, right)
    if kind in _NUMBERS or other in _NUMBERS:
        names = f"{type_name(left)} + {type_name(right)}"
        if kind in _NUMBERS and other in _NUMBERS:
            fix = "numbers of events and results are doubles, so write 1.0 instead of 1"
        else:
            fix = "write string(…) to join texts, double(…) to add numbers"
        raise CelError(f"{_NO_OVERLOAD}: {names}: {fix}")
    return add(left, right)


def subtract(left: Any, right: Any) -> object:
    """Subtract numbers of one type, or times."""
    if left is MISSING or right is MISSING:
        return False
    kind = type(left)
    if kind is type(right):
        if kind is float or kind is datetime or kind is timedelta:
            return left - right
        if kind is int or kind is UInt:
            return whole(kind, int(left) - int(right))
    if isinstance(left, datetime) and isinstance(right, timedelta):
        return left - right
    raise no_overload("-")


def multiply(left: Any, right: Any) -> object:
    """Multiply numbers of one type."""
    if left is MISSING or right is MISSING:
        return False
    kind = type(left)
    if kind is type(right) and kind in _NUMBERS:
        return left * right if kind is float else whole(kind, int(left) * int(right))
    raise no_overload("*")


def divide(left: Any, right: Any) -> object:
    """Divide numbers of one type; integers are rounded towards zero."""
    if left is MISSING or right is MISSING:
        return False
    kind = type(left)
    if kind is not type(right) or kind not in _NUMBERS:
        raise no_overload("/")
    if kind is float:
        if right == 0:
            unsigned = float("nan") if left == 0 or left != left else float("inf")
            return unsigned if (str(left)[0] == "-") == (str(right)[0] == "-") else -unsigned
        return left / right
    if right == 0:
        raise CelError("division by zero")
    quotient = abs(int(left)) // abs(int(right))
    return whole(kind, quotient if (left < 0) == (right < 0) else -quotient)


def modulo(left: Any, right: Any) -> object:
    """Return the rest of an integer division; false for other types (§4.3)."""
    kind = type(left)
    if kind is not type(right) or kind not in (int, UInt):
        return False
    if right == 0:
        raise CelError("modulus by zero")
    rest = abs(int(left)) % abs(int(right))
    return whole(kind, -rest if left < 0 else rest)


def within(value: object, container: object) -> bool:
    """Say whether a list holds the value, or a map the key."""
    if value is MISSING or container is MISSING:
        return False
    if isinstance(container, list):
        meter = Meter()
        meter.spend(len(container))
        return any(equal(value, one, meter) for one in container)
    if isinstance(container, dict):
        return isinstance(value, str | int | float) and value in container
    raise no_overload("in")


def negate(value: object) -> object:
    """Change the sign of a number."""
    if value is MISSING:
        return False
    if type(value) is float:
        return -value
    if type(value) is int:
        return whole(int, -value)
    raise no_overload("-")


def invert(value: object) -> bool:
    """Negate a bool; a missing value gives false, any other value an error (§4.1)."""
    if value is True or value is False:
        return not value
    if value is MISSING:
        return False
    raise no_overload("!")


def whole(kind: type, value: int) -> int:
    """Make a number an int or uint. Raises CelError when it does not fit."""
    if kind is UInt:
        if 0 <= value <= UINT_MOST:
            return UInt(value)
    elif INT_LEAST <= value <= INT_MOST:
        return value
    raise CelError("the integer overflows")


def bounded(value: _Sized) -> _Sized:
    """Return a string or list. Raises CelError when it is too long."""
    if len(value) > (MOST_CHARS if isinstance(value, str | bytes) else MOST_PARTS):
        raise CelError("the value grows too long")
    return value


def bounded_parts(value: object) -> object:
    """Return a value. Raises CelError when it has too many parts, shared ones counted each time."""
    if isinstance(value, CelList | CelMap):
        meter = Meter()
        rest: list[object] = [value]
        while rest:
            one = rest.pop()
            if isinstance(one, list | dict):
                meter.spend(len(one))
                rest.extend(one.values() if isinstance(one, dict) else one)
    return value


def text(value: object) -> str:
    """Write a value as `+` joins it to a string (§4.2, §4.3)."""
    if isinstance(value, str):
        return value
    parts: list[str] = []
    _write(value, parts, Meter(MOST_PARTS // 4), 0)
    return bounded("".join(parts))


def _write(value: object, parts: list[str], meter: Meter, level: int) -> None:
    meter.spend()
    if isinstance(value, list | dict):
        if level > _MOST_LEVELS:
            raise CelError("the value is nested too deeply")
        parts.append("[" if isinstance(value, list) else "map[")
        if isinstance(value, list):
            for place, one in enumerate(value):
                parts.append(" " if place else "")
                _write(one, parts, meter, level + 1)
        else:
            for place, key in enumerate(sorted(value, key=str)):
                parts.append(f"{' ' if place else ''}{scalar_text(key)}:")
                _write(value[key], parts, meter, level + 1)
        parts.append("]")
        return
    if isinstance(value, str):
        meter.spend(len(value) // 64)
    parts.append(scalar_text(value))


def scalar_text(value: Any) -> str:
    """Write a value that is neither list nor map."""
    if isinstance(value, str):
        return value
    if value is None:
        return "NULL_VALUE"
    if isinstance(value, bool) or value is MISSING:
        return "true" if value else "false"
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, datetime):
        return timestamp_text(value)
    if isinstance(value, timedelta):
        return f"{plain_number(value.total_seconds())}s"
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.name if isinstance(value, CelType) else str(int(value))


def timestamp_text(value: datetime) -> str:
    """Write a time as RFC 3339 in its own offset, without trailing zeros."""
    whole_seconds = value.replace(microsecond=0, tzinfo=None).isoformat()
    fraction = f".{value.microsecond:06d}".rstrip("0").rstrip(".")
    offset = value.utcoffset() or timedelta(0)
    if not offset:
        return f"{whole_seconds}{fraction}Z"
    return f"{whole_seconds}{fraction}{value.astimezone(value.tzinfo or UTC).isoformat()[-6:]}"


def plain_number(value: float) -> str:
    """Write a number without an exponent."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def type_name(value: object) -> str:
    """Name a value's type."""
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "bool"),
        (UInt, "uint"),
        (int, "int"),
        (float, "double"),
        (str, "string"),
        (bytes, "bytes"),
        (list, "list"),
        ((dict, CelMap), "map"),
        (datetime, "google.protobuf.Timestamp"),
        (timedelta, "google.protobuf.Duration"),
        (CelType, "type"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "null_type")


BINARY: dict[str, Callable[[object, object], object]] = {
    "==": equal,
    "!=": unequal,
    "<": _ordering("<", operator.lt),
    "<=": _ordering("<=", operator.le),
    ">": _ordering(">", operator.gt),
    ">=": _ordering(">=", operator.ge),
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": modulo,
    "in": within,
}
UNARY: dict[str, Callable[[object], object]] = {"!": invert, "neg": negate}
