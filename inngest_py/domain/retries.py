"""Back-off: how long a failed attempt waits for the next (protocol: execution.md §7.4)."""

from datetime import timedelta

_TABLE_SECONDS = (15, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200)
_JITTER = timedelta(seconds=30)


def backoff(failed_attempt: int, jitter: float, linear: timedelta | None = None) -> timedelta:
    """Say the delay after attempt `failed_attempt` (from 0); `jitter` lies in [0, 1).

    `linear` replaces the table and its jitter.
    """
    if linear is not None:
        return linear
    seconds = _TABLE_SECONDS[min(failed_attempt, len(_TABLE_SECONDS) - 1)]
    return timedelta(seconds=seconds) + _JITTER * jitter
