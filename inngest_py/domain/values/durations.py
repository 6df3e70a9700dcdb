"""Durations: Go's syntax with days and weeks (protocol: waits.md §1)."""

import re
from datetime import timedelta
from decimal import Decimal

from ..errors import Invalid

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)", re.ASCII)
_MOST_CHARS = 128
# Go's durations are 64-bit nanoseconds.
_MOST = 2**63 - 1


def parse(text: str) -> int:
    """Read a duration as nanoseconds. Raises Invalid."""
    sign, rest = 1, text
    if rest[:1] in ("-", "+"):
        sign, rest = (-1 if rest[0] == "-" else 1), rest[1:]
    if rest == "0":
        return 0
    total, place = Decimal(0), 0
    if rest and len(rest) <= _MOST_CHARS:
        while (part := _PART.match(rest, place)) is not None:
            total += Decimal(part[1]) * _UNITS[part[2]]
            place = part.end()
    if not rest or place != len(rest) or total > _MOST:
        raise Invalid(f"{text[:64]!r} is not a duration: write it like 90s, 1h30m or 7d")
    return sign * int(total)


def to_timedelta(text: str) -> timedelta:
    """Read a duration. Raises Invalid."""
    nanoseconds = parse(text)
    micros = abs(nanoseconds) // 1000
    return timedelta(microseconds=micros if nanoseconds >= 0 else -micros)
