"""Read JSON, and write it in its one canonical form: RFC 8785 (protocol: auth.md §4).

Requests to SDKs are signed over exactly these bytes (auth.md §2). So JSON is made canonical once,
when it is stored, and is spliced into requests without being parsed again.
"""

import json
import re
from typing import Any

import orjson
import re2
import rfc8785

from ..errors import Invalid, TooDeep

READABLE_LEVELS = 200
_MOST_EXACT = 2**53 - 1
_LEAST_INTEGER, _MOST_INTEGER = -(2**63), 2**64 - 1  # that orjson reads as integers
_MARK = " "
# Numbers that orjson may write otherwise than RFC 8785: whole floats, floats with an exponent, and
# integers that a double cannot hold. The pattern looks between punctuation. A string that looks
# like such a number only costs the slow path. RE2 scans 1 kB in 3 µs, `re` takes 11.
_ODD_NUMBER = re2.compile(
    rb"(?:^|[:\[,])-?(?:\d{16,}|\d+\.0|\d+(?:\.\d+)?e[-+]?\d+)(?:[,\]}]|$)",
)
_LONG_INTEGER = re2.compile(rb"[:\[,]-?(\d{16,})")
_HUGE_INTEGER = re2.compile(rb"[:\[,\s]-?\d{19,}\s*[,\]}]")
# UTF-8 and UTF-16 sort differently only between these ranges: U+E000 to U+FFFF, and beyond.
_PRIVATE = re.compile(rb"[\xee\xef]")
_ASTRAL = re.compile(rb"[\xf0-\xf4]")
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def loads(raw: bytes | str, most: int = READABLE_LEVELS) -> Any:
    """Read JSON of at most `most` levels; halves of surrogate pairs become U+FFFD.

    Raises Invalid, and TooDeep for JSON that is nested deeper.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        value = _loads_repaired(raw, error, most)
    levels = raw.count("[") + raw.count("{") if isinstance(raw, str) else _brackets(raw)
    if levels > most:
        _check_levels(value, most)
    return value


def dumps(value: object) -> bytes:
    """Write a value as canonical JSON. Raises Invalid when it has no such form."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # perhaps only an integer beyond 64 bits
        return _dumps_slowly(value)
    if _ODD_NUMBER.search(text) is not None or _sorts_differently(text):
        return _dumps_slowly(orjson.loads(text))
    return text


def dumps_event(value: object) -> bytes:
    """Write canonical JSON if that rounds no integer, else with a space before it.

    Integers beyond 2^53 - 1 are kept then, for programs that read more than doubles; for_sdks()
    rounds them. Raises Invalid when the value has no canonical form.
    """
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # perhaps only an integer beyond 64 bits
        return _dumps_slowly(value)
    if _ODD_NUMBER.search(text) is None and not _sorts_differently(text):
        return text
    if any(int(digits) > _MOST_EXACT for digits in _LONG_INTEGER.findall(text)):
        return _MARK.encode() + text
    return _dumps_slowly(orjson.loads(text))


def for_sdks(text: str) -> str:
    """Make what dumps_event() wrote canonical."""
    return canonical(text).decode() if text.startswith(_MARK) else text


def dumps_exact(value: object) -> str:
    """Write JSON that SDKs do not get: numbers and the order of keys stay as they are.

    Raises Invalid, and TooDeep if loads() could not read it again.
    """
    try:
        text = orjson.dumps(value)
    except TypeError as error:
        raise Invalid(f"this cannot be written as JSON: {error}") from error
    if _brackets(text) > READABLE_LEVELS:
        loads(text)
    return text.decode()


def check_integers(raw: bytes) -> None:
    """Refuse JSON with an integer of more than 64 bits, which would be rounded. Raises Invalid.

    `raw` is JSON that loads() has read.
    """
    if _HUGE_INTEGER.search(raw) is not None:  # perhaps in a string
        json.loads(raw, parse_int=_exact_integer)


def _exact_integer(digits: str) -> int:
    if len(digits) > 20 or not _LEAST_INTEGER <= int(digits) <= _MOST_INTEGER:
        problem = "has more than 64 bits, and would be rounded: send it as text"
        raise Invalid(f"the integer {digits[:40]} {problem}")
    return int(digits)


def told(error: Invalid) -> str:
    """Word an error of `loads` as what is wrong with a text that the caller names before it."""
    return error.message.removeprefix("this ").removeprefix("the JSON ")


def size(text: str) -> int:
    """Count the bytes of JSON text in UTF-8, as it is sent."""
    return len(text) if text.isascii() else len(text.encode())


def canonical(raw: bytes | str) -> bytes:
    """Make JSON text canonical. Raises Invalid."""
    return dumps(loads(raw))


def _sorts_differently(text: bytes) -> bool:
    return not text.isascii() and bool(_ASTRAL.search(text) and _PRIVATE.search(text))


def _brackets(raw: bytes) -> int:
    return raw.count(b"[") + raw.count(b"{")


def _loads_repaired(raw: bytes | str, error: orjson.JSONDecodeError, most: int) -> Any:
    """Read text that orjson refused, with halves of surrogate pairs replaced."""
    try:
        data = raw.encode() if isinstance(raw, str) else bytes(raw)
        mended = _ESCAPE.sub(lambda found: rb"\ufffd" if found["lone"] else found[0], data)
        if mended != data:
            return orjson.loads(mended)
    except (orjson.JSONDecodeError, UnicodeEncodeError) as second:
        raise Invalid(f"this is not JSON: {second}") from second
    if any(word in str(error).lower() for word in ("depth", "recursion")):
        raise _too_deep(most) from error
    raise Invalid(f"this is not JSON: {_message(error)}") from error


def _message(error: orjson.JSONDecodeError) -> str:
    """Word the error; name NaN and Infinity, which JavaScript and Python write into JSON."""
    for word in ("NaN", "Infinity", "-Infinity"):
        if error.doc.startswith(word, error.pos):
            return f"it has no number {word}, send null or text instead: {error}"
    return str(error)


def _too_deep(most: int) -> TooDeep:
    return TooDeep(f"the JSON is nested deeper than {most} levels")


def _check_levels(value: object, most: int) -> None:
    level = [value]
    for _ in range(most):
        inner: list[object] = []
        for one in level:
            if isinstance(one, dict):
                inner.extend(one.values())
            elif isinstance(one, list):
                inner.extend(one)
        if not inner:
            return
        level = inner
    if any(isinstance(one, dict | list) for one in level):
        raise _too_deep(most)


def _dumps_slowly(value: object) -> bytes:
    try:
        return rfc8785.dumps(_with_doubles(value))
    except RecursionError as error:
        raise TooDeep("the value is nested too deeply for canonical JSON") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise Invalid(f"this has no canonical JSON: {error}") from error


def _with_doubles(value: object) -> Any:
    """Replace integers that a double cannot hold exactly by doubles, as JavaScript reads them."""
    if isinstance(value, dict):
        return {key: _with_doubles(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_with_doubles(inner) for inner in value]
    if isinstance(value, int) and not -_MOST_EXACT <= value <= _MOST_EXACT:
        return float(value)
    return value
