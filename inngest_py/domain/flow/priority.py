"""Priority: how far a run moves ahead in waiting lines (protocol: flow-control.md §7)."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from .. import cel
from ..cel import CelError
from ..errors import Invalid

MOST_SECONDS = 43_200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def seconds(expression: str, event: Mapping[str, object], now: datetime) -> int:
    """Evaluate a priority; it is 0 when the value is not a whole number or the evaluation fails.

    JSON has one kind of number, so 120.0 is whole.
    """
    try:
        found = cel.evaluate(expression, {"event": event}, now)
    except (CelError, Invalid):
        return 0
    if isinstance(found, bool) or not isinstance(found, int | float):
        return 0
    if isinstance(found, float) and not found.is_integer():
        return 0
    return max(-MOST_SECONDS, min(MOST_SECONDS, int(found)))


def rank_us(moment: datetime, ahead_seconds: int) -> int:
    """Return a place in waiting lines: microseconds since 1970, of which the lowest is first."""
    return (moment - _EPOCH) // _MICROSECOND - ahead_seconds * 1_000_000
