"""When a failed attempt is tried again (protocol: execution.md §7.4)."""

from datetime import timedelta

_BASE_SECONDS = (15, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200)
_JITTER_MS = 30_000


def backoff(failed_attempt: int, jitter: float, linear: timedelta | None = None) -> timedelta:
    """Say how long to wait after the zero-based attempt failed.

    `jitter` in [0, 1) spreads the retries over half a minute, in whole milliseconds. `linear`
    is the development server's retry interval: the same each time, without jitter.
    """
    if linear is not None:
        return linear
    base = _BASE_SECONDS[min(failed_attempt, len(_BASE_SECONDS) - 1)]
    return timedelta(seconds=base, milliseconds=int(jitter * _JITTER_MS))
