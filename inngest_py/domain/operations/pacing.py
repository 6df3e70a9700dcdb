"""The rate of an operation: how much it does at once, and when it continues."""

import math
from datetime import datetime, timedelta

# A transaction with so many reruns takes a tenth of a second. Pausing waits for it at most.
MOST_AT_ONCE = 50
_SHARE = 0.5  # of a second: what is done at once, so that a rate is even
_LATE = timedelta(seconds=1)


def chunk(rate: float | None) -> int:
    """Return how many items to do at once; `rate` is in items a second, None is no limit."""
    if rate is None:
        return MOST_AT_ONCE
    return max(1, min(MOST_AT_ONCE, math.ceil(rate * _SHARE)))


def next_due(due_at: datetime, now: datetime, done: int, rate: float | None) -> datetime:
    """Return when an operation continues that was due at `due_at` and has done some items.

    A worker that comes late makes up for a second of it, not for more.
    """
    if rate is None:
        return now
    return max(due_at, now - _LATE) + timedelta(seconds=done / rate)
