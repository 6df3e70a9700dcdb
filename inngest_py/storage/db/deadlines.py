"""Deadlines: how long the current thread or greenlet may wait for the database.

A client waits for the answer to an HTTP request, so the request gives up in time and says so. A
worker's items wait for as long as an outage takes.
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
    """Limit each read and each commit within this block to so many seconds."""
    token = _seconds.set(seconds)
    try:
        yield
    finally:
        _seconds.reset(token)


@contextmanager
def patient() -> Iterator[None]:
    """Let this block wait for the database without end."""
    with within(math.inf):
        yield


@contextmanager
def until(moment: float) -> Iterator[None]:
    """End all waits within this block at a moment of the monotonic clock."""
    token = _until.set(moment)
    try:
        yield
    finally:
        _until.reset(token)


def seconds(default: float) -> float:
    """Say how many seconds a commit may wait from now on; infinity within patient()."""
    found = _seconds.get()
    return default if found is None else found


def left() -> float | None:
    """Say how many seconds are left, at least 0; None when there is no deadline."""
    found = _seconds.get()
    if found is None or found == math.inf:
        return None
    moment = _until.get()
    return found if moment is None else max(0.0, moment - time.monotonic())


def urgent() -> bool:
    """Say whether a client waits for the answer: then a refusal is answered at once."""
    return _seconds.get() not in (None, math.inf)
