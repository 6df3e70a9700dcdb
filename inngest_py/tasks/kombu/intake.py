"""The intake: a worker reads its next message when it has slots for all that it read before.

Otherwise one worker might hold hundreds of hints while another one is idle. A message has fifty
at the most, so no more than these wait here.
"""

import threading
import time
from typing import Any

from celery.worker import state

_LOOK_SECONDS = 0.5


class Intake:
    """Counts the hints that were read and have no slot yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = 0
        self._none = threading.Event()
        self._none.set()

    def read(self, count: int) -> None:
        """Note hints that wait for slots now."""
        with self._lock:
            self._waiting += count
            if self._waiting:
                self._none.clear()

    def placed(self, count: int) -> None:
        """Note that so many of them have a slot, or are given up."""
        with self._lock:
            self._waiting -= count
            if not self._waiting:
                self._none.set()

    def hold_up(self, pool: Any) -> None:
        """Let a pool of greenlets take a message only when none of the hints waits."""
        take = pool.on_apply

        def on_apply(*args: Any, **kwargs: Any) -> Any:
            while not self._none.wait(_LOOK_SECONDS):
                if state.should_stop is not None or state.should_terminate is not None:
                    break  # the loop must come to see that
            begun = take(*args, **kwargs)
            time.sleep(0)  # let the task begin before the next message is asked for
            return begun

        pool.on_apply = on_apply
