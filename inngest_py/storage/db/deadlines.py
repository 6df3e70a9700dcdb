"""Deadlines: how long whoever works in this thread or greenlet can wait for the database.

Somebody waits for the answer to a request over HTTP, so it gives up in time and says so. What a
worker has in hand waits for as long as an outage takes.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_seconds: ContextVar[float | None] = ContextVar("inngest_py_seconds", default=None)
_until: ContextVar[float | None] = ContextVar("inngest_py_until", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give each read and each commit that follows here so many seconds."""
    token = _seconds.set(seconds)
    try:
        yield
    finally:
        _seconds.reset(token)


@contextmanager
def patient() -> Iterator[None]:
    """Let what follows here wait for the database without end."""
    with within(math.inf):
        yield


@contextmanager
def until(moment: float) -> Iterator[None]:
    """Let all that follows here end at a moment of the monotonic clock."""
    token = _until.set(moment)
    try:
        yield
    finally:
        _until.reset(token)


def seconds(default: float) -> float:
    """Say how long a commit may wait from now on; infinity for whoever is patient."""
    found = _seconds.get()
    return default if found is None else found


def left() -> float | None:
    """Say how many seconds a request has left, 0 at the least; None for whoever may wait."""
    found = _seconds.get()
    if found is None or found == math.inf:
        return None
    moment = _until.get()
    return found if moment is None else max(0.0, moment - time.monotonic())


def urgent() -> bool:
    """Say whether somebody waits for an answer: then a refusal is told at once."""
    return _seconds.get() not in (None, math.inf)
