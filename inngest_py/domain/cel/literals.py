"""Read and write CEL's constants (protocol: expressions.md §1, §6)."""

import re
from collections.abc import Mapping, Sequence

from ..errors import Invalid
from .nodes import UInt

INT_LEAST, INT_MOST, UINT_MOST = -(2**63), 2**63 - 1, 2**64 - 1
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))",
    re.DOTALL,
)
_PLAIN = dict(zip("abfnrtv\\'\"`?", "\a\b\f\n\r\t\v\\'\"`?", strict=True))
_WRITTEN = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def number(text: str) -> int | float:
    """Read a number: `1` int, `1u` uint, `1.0` double. Raises Invalid when out of range."""
    hexadecimal = text[:2] in ("0x", "0X")
    if text[-1] in "uU":
        value = int(text[:-1], 16 if hexadecimal else 10) if len(text) < 40 else -1
        if 0 <= value <= UINT_MOST:
            return UInt(value)
    elif hexadecimal or text.isdecimal():
        value = int(text, 16 if hexadecimal else 10) if len(text) < 40 else INT_MOST + 1
        if value <= INT_MOST:
            return value
    else:
        return float(text)
    raise Invalid(f"the number {text[:40]} is out of range")


def string(text: str) -> str | bytes:
    """Read a string or bytes with their prefixes, quotes and escapes. Raises Invalid."""
    prefix = ""
    while text[0] not in "\"'":
        prefix, text = prefix + text[0].lower(), text[1:]
    marks = 3 if text[:3] in ('"""', "'''") and len(text) >= 6 else 1
    inner = text[marks:-marks]
    if "b" in prefix:
        return inner.encode() if "r" in prefix else _bytes(inner)
    return inner if "r" in prefix else _ESCAPE.sub(_unescaped, inner)


def _unescaped(found: re.Match[str]) -> str:
    if (plain := found[5]) is not None:
        if plain not in _PLAIN:
            raise Invalid(f"the escape \\{plain} means nothing")
        return _PLAIN[plain]
    code = int(found[4], 8) if found[4] else int(found[1] or found[2] or found[3], 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise Invalid(f"the escape {found[0]} is not a character")
    return chr(code)


def _bytes(inner: str) -> bytes:
    """Read bytes with escapes; \\x and octal escapes stand for single bytes."""
    made, place = bytearray(), 0
    for found in _ESCAPE.finditer(inner):
        made += inner[place : found.start()].encode()
        text = _unescaped(found)
        made += bytes([ord(text)]) if found[1] or found[4] else text.encode()
        place = found.end()
    return bytes(made + inner[place:].encode())


def double_text(value: float) -> str:
    """Write a double as Go's %v does in expressions.md §4.3: `3`, `1e+06`, `1.2e-05`."""
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" not in text and (value == 0 or 1e-4 <= abs(value) < 1e6):
        return text.removesuffix(".0")
    sign, text = ("-", text[1:]) if text[0] == "-" else ("", text)
    mantissa, _, power = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = int(power or 0) + len(whole) - 1 - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def written(value: object) -> str:
    """Write a JSON value or constant in CEL: strings quoted, JSON's numbers as doubles (§6)."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, float):
        text = double_text(value)
        return text if any(mark in text for mark in ".en") else f"{text}.0"
    if isinstance(value, int):
        return f"{int(value)}u" if isinstance(value, UInt) else str(value)
    if isinstance(value, str):
        return f'"{"".join(map(_escaped, value))}"'
    if isinstance(value, bytes):
        return 'b"' + "".join(f"\\x{byte:02x}" for byte in value) + '"'
    json = type(value) in (dict, list)
    if isinstance(value, Mapping):
        entries = [f"{written(key)}: {_inner(one, json)}" for key, one in value.items()]
        return f"{{{', '.join(entries)}}}"
    assert isinstance(value, Sequence)
    return f"[{', '.join([_inner(one, json) for one in value])}]"


def _inner(value: object, json: bool) -> str:
    return written(float(value) if json and type(value) is int else value)


def _escaped(character: str) -> str:
    if character in _WRITTEN:
        return _WRITTEN[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
