"""Canonical JSON (RFC 8785): stored once, spliced and signed as bytes (protocol: auth.md §4)."""

import json
import re
from typing import Any

import orjson
import rfc8785

from .errors import Invalid

MAX_DEPTH = 200
# What orjson may write otherwise than RFC 8785: fractions, exponents, integers beyond 2^53.
_UNSURE = re.compile(rb"\d[.eE]|\d{16,}")
# From this lead byte on, UTF-8 order of keys may differ from UTF-16 order.
_HIGH = re.compile(rb"[\xee-\xff]")
_SAFE = 2**53 - 1


def loads(raw: bytes | str) -> Any:
    """Parse JSON; lone surrogates become U+FFFD. Raises Invalid for bad or too deep JSON."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        value = _loads_slowly(raw, error)
    text = raw.encode("utf-8", "replace") if isinstance(raw, str) else raw
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise Invalid(f"JSON is nested over {MAX_DEPTH} levels")
    return value


def _loads_slowly(raw: bytes | str, error: orjson.JSONDecodeError) -> Any:
    if "surrogate" not in str(error):
        raise Invalid(f"not valid JSON: {error}") from None
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise Invalid(f"not valid JSON: {error}") from None
    return _mended(value, 0)


def _mended(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise Invalid(f"JSON is nested over {MAX_DEPTH} levels")
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_mended(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_mended(key, 0): _mended(item, depth + 1) for key, item in value.items()}
    return value


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return deepest


def dumps(value: Any) -> bytes:
    """Write canonical JSON. Raises Invalid for what JSON cannot hold."""
    try:
        fast = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        if "64-bit" not in str(error):
            raise Invalid(f"cannot be written as JSON: {error}") from None
    else:
        if _UNSURE.search(fast) is None and _HIGH.search(fast) is None:
            return fast
    try:
        return rfc8785.dumps(_floats(value))
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise Invalid(f"cannot be written as JSON: {error}") from None


def _floats(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _SAFE:
        return float(value)
    if isinstance(value, list):
        return [_floats(item) for item in value]
    if isinstance(value, dict):
        return {key: _floats(item) for key, item in value.items()}
    return value


def canonical(raw: bytes) -> bytes:
    """Bring JSON text into canonical form."""
    return dumps(loads(raw))
