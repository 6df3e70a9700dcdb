"""Timing: when a step's body ran, as its SDK measured it (protocol: execution.md §4)."""

from datetime import UTC, datetime, timedelta

Span = tuple[datetime, datetime]

_EARLIEST_NS = 946_684_800 * 10**9  # 2000-01-01: an SDK's clock before this is wrong
_LATEST_NS = 4_102_444_800 * 10**9  # 2100-01-01
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read(value: object) -> Span | None:
    """Read `{"a": start, "b": duration}` in nanoseconds; None when the values cannot be right."""
    if not isinstance(value, dict):
        return None
    start, length = value.get("a"), value.get("b")
    if not isinstance(start, int | float) or not isinstance(length, int | float):
        return None
    if not _EARLIEST_NS <= start <= _LATEST_NS or not 0 <= length <= _LATEST_NS - start:
        return None
    started = _EPOCH + timedelta(microseconds=int(start) // 1000)
    return started, started + timedelta(microseconds=int(length) // 1000)
