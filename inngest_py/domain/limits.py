"""The protocol's limits (protocol: execution.md §9)."""

from dataclasses import dataclass
from datetime import timedelta

MAX_REQUEST_BYTES = 4 * 1024 * 1024
USE_API_ABOVE_BYTES = MAX_REQUEST_BYTES - 1024
MAX_RESPONSE_BYTES = 8 * 1024 * 1024
MAX_STEP_BYTES = 4 * 1024 * 1024
MAX_STATE_BYTES = 32 * 1024 * 1024
MAX_STEPS = 1000
MAX_DEFERS = 20
MAX_DEFER_BYTES = 4 * 1024 * 1024  # of one deferred function, and of all of a run together
MAX_WAIT = timedelta(days=366)
MAX_REDIRECTS = 60
REQUEST_TIMEOUT = timedelta(hours=2)
MAX_EVENTS = 5000
MAX_EVENT_BYTES = 3 * 1024 * 1024
EVENT_ID_WINDOW = timedelta(hours=24)
MAX_STEP_ID_BYTES = 1024  # ids are indexed; PostgreSQL refuses index rows over 2704 bytes
MAX_NAME_CHARS = 1024
MAX_LAPSES = 20  # our own: how many times in a row a request may lose its worker
MAX_SHOWN_INPUT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How far a run may grow."""

    steps: int = MAX_STEPS
    state_bytes: int = MAX_STATE_BYTES


NORMAL = RunLimits()
