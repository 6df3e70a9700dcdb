"""The intake: a worker reads its next message when all hints that it has read have slots.

Otherwise one worker might keep hundreds of hints while another one is idle. A message has at most
fifty hints, so no more than fifty wait here.

This is for speed only: `INNGEST_CELERY_PATCHES=off` lets a worker read as Celery does.

Written against Celery 5.7: its pool of greenlets gets each message by `on_apply()`, called by the
greenlet that reads, which reads no further before that returns.
"""

import threading
import time
from typing import Any

from celery.worker import state

_LOOK_SECONDS = 0.5


class Intake:
    """Counts the hints that the worker has read and that have no slot yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = 0
        self._none = threading.Event()
        self._none.set()

    def add_waiting(self, count: int) -> None:
        """Count hints that wait for slots from now on."""
        with self._lock:
            self._waiting += count
            if self._waiting:
                self._none.clear()

    def remove_waiting(self, count: int) -> None:
        """Count hints that have got a slot, or are given up."""
        with self._lock:
            self._waiting -= count
            if not self._waiting:
                self._none.set()

    def wait_before_reads(self, pool: Any) -> None:
        """Let a pool of greenlets take a message only when no hint waits."""
        take = pool.on_apply

        def on_apply(*args: Any, **kwargs: Any) -> Any:
            while not self._none.wait(_LOOK_SECONDS):
                if state.should_stop is not None or state.should_terminate is not None:
                    break  # the consumer's loop has to see the stop
            begun = take(*args, **kwargs)
            time.sleep(0)  # let the task begin before the worker asks for the next message
            return begun

        pool.on_apply = on_apply
