"""The intake: a worker reads its next message when all hints that it has read have slots.

Otherwise one worker might keep hundreds of hints while another one is idle. A message has at most
fifty hints, so no more than fifty wait here. This part is for speed only, and
`INNGEST_CELERY_PATCHES=off` does without it.

The worker also waits here for a free greenlet of its pool, and looks for a stop meanwhile. Celery
waits in the pool itself, where it would not notice a stop before a call ends. No setting turns this
part off.

Written against Celery 5.7 and gevent 26.9: Celery's pool of greenlets gets each message by
`on_apply()`, called by the greenlet that reads, which reads no further before that returns. A stop
may be raised in it. The greenlets are in `_pool`, a pool of gevent.
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

    @property
    def has_waiting(self) -> bool:
        """Whether hints wait for slots."""
        return self._waiting > 0

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

    def wait_before_reads(self, pool: Any, *, for_slots: bool) -> None:
        """Let a pool take a message when it has a free greenlet and, `for_slots`, no hint waits.

        A stop of the worker is raised in the greenlet that reads. The message that it has read is
        dropped then: upkeep finds its items, or the broker gives it to another worker.
        """
        take = pool.on_apply

        def is_free() -> bool:
            if for_slots and not self._none.wait(_LOOK_SECONDS):
                return False
            return bool(pool._pool.wait_available(_LOOK_SECONDS))

        def on_apply(*args: Any, **kwargs: Any) -> Any:
            while not is_free():
                state.maybe_shutdown()
            begun = take(*args, **kwargs)
            time.sleep(0)  # let the task begin before the worker asks for the next message
            return begun

        pool.on_apply = on_apply
