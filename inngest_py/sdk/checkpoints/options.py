"""The options of checkpointing, the same as the TypeScript SDK's."""

from dataclasses import dataclass
from datetime import timedelta

Duration = timedelta | float


@dataclass(frozen=True, slots=True)
class Options:
    """How often steps are sent, and how long a request may go on; times are in seconds."""

    enabled: bool = True
    buffered_steps: int = 1
    max_interval: float = 0.0
    max_runtime: float = 0.0


def read(
    enabled: object, buffered_steps: object, max_interval: object, max_runtime: object
) -> Options:
    """Check the options. Raises ValueError that names the one that is wrong."""
    if not isinstance(enabled, bool):
        raise ValueError(f"enabled must be True or False, not {enabled!r}")
    # True is an int, too
    if type(buffered_steps) is not int or buffered_steps < 1:
        text = "buffered_steps must be a whole number of steps, 1 or more"
        raise ValueError(f"{text}, not {buffered_steps!r}")
    return Options(
        enabled,
        buffered_steps,
        _seconds("max_interval", max_interval),
        _seconds("max_runtime", max_runtime),
    )


def _seconds(name: str, given: object) -> float:
    """Read a timedelta, or milliseconds as the SDK's own durations are; 0 means no limit."""
    if isinstance(given, timedelta):
        seconds = given.total_seconds()
    elif isinstance(given, int | float) and not isinstance(given, bool):
        seconds = given / 1000
    else:
        raise ValueError(f"{name} must be a timedelta or milliseconds, not {given!r}")
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{name} must be 0 (no limit) or more, not {given!r}")
    return seconds
