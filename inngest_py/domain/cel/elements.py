"""The numbers of JSON in expressions, and the elements of its lists and maps.

All numbers are doubles (expressions.md §1). If `exact`, integers that a double may not hold stay
integers.
"""

from .nodes import MISSING

_MOST_EXACT = 2**53  # beyond it, doubles do not hold every integer


def number(value: int, *, exact: bool) -> float:
    """Make a double of an integer of JSON (§1); if `exact`, only of one that a double can hold."""
    return value if exact and abs(value) >= _MOST_EXACT else float(value)


def element(container: object, key: object, *, exact: bool = False) -> object:
    """Look up an element; MISSING without one. JSON's integers become doubles, as by number()."""
    if isinstance(container, dict):
        if not isinstance(key, str | int | float):
            return MISSING
        value = container.get(key, MISSING)
    elif isinstance(container, list) and isinstance(key, int | float) and not isinstance(key, bool):
        if not 0 <= key < len(container) or key != int(key):
            return MISSING
        value = container[int(key)]
    else:
        return MISSING
    if type(value) is int and type(container) in (dict, list):
        return number(value, exact=exact)
    return value


def elements(
    container: list[object] | dict[object, object], *, exact: bool = False
) -> list[object]:
    """List a list's elements or a map's keys; JSON's integers become doubles, as by number()."""
    if type(container) is list:
        return [number(one, exact=exact) if type(one) is int else one for one in container]
    return list(container)


def whole_numbers(value: object) -> object:
    """Copy a value with integers instead of doubles that are whole and not beyond 2^53."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= _MOST_EXACT else value
    if isinstance(value, dict):
        return {key: whole_numbers(one) for key, one in value.items()}
    return [whole_numbers(one) for one in value] if isinstance(value, list) else value
