"""Finished steps of a request that the server does not have yet."""

import functools
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .sending import TRIES, Outcome

if TYPE_CHECKING:
    from ..internals import StepInfo

_THREADS = 32  # that send for async functions, which must not block their event loop


@dataclass(frozen=True, slots=True)
class Finished:
    """A step that succeeded: its op for the server, and the parts of an answer."""

    info: "StepInfo"
    output: object
    data: str  # the output as JSON
    began_ns: int
    took_ns: int

    def op(self) -> str:
        """Write the op: what the answer would have, and when the step ran."""
        shown = self.info.to_dict()
        if isinstance(shown, Exception):
            raise shown
        timing = {"a": self.began_ns, "b": self.took_ns}
        return f'{json.dumps({**shown, "timing": timing})[:-1]}, "data": {self.data}}}'


class Buffer:
    """The finished steps of one request, in order, and what became of those that were sent."""

    def __init__(
        self, send: Callable[[list[Finished], int], Outcome], most: int, seconds: float
    ) -> None:
        """`send` gets steps and the number of tries. It is due at `most` steps, or after seconds.

        `send` must not hold the call: that would keep one that was dropped.
        """
        self.steps: list[Finished] = []
        self.outcome = Outcome.STORED
        self._send, self._most, self._seconds = send, most, seconds
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def add(self, step: Finished) -> bool:
        """Add a step, and say whether the buffer is due. Otherwise it is sent after its time."""
        self.steps.append(step)
        if len(self.steps) >= self._most:
            return True
        if self._seconds and self._timer is None:
            self._timer = threading.Timer(self._seconds, self.flush)
            self._timer.daemon = True
            self._timer.start()
        return False

    def flush(self) -> Outcome:
        """Send all; blocks. What was not stored stays, and nothing is sent any more."""
        with self._lock:
            self._cancel_timer()
            sent = self.steps[:]
            if sent and self.outcome is Outcome.STORED:
                self.outcome = self._send(sent, TRIES)
                if self.outcome is Outcome.STORED:
                    del self.steps[: len(sent)]
            return self.outcome

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def take(self) -> list[Finished]:
        """Return what was not sent, to be answered; waits for a flush under way."""
        with self._lock:
            self._cancel_timer()
            taken, self.steps = self.steps, []
            return taken

    def send_last(self) -> None:
        """Send what is there once, without waiting for a flush under way: the process ends.

        The server leaves out what it has.
        """
        if (sent := self.steps[:]) and self.outcome is Outcome.STORED:
            self._send(sent, 1)


def senders() -> ThreadPoolExecutor:
    """Return the threads that send for async functions of this process."""
    return _senders(os.getpid())


@functools.cache
def _senders(process: int) -> ThreadPoolExecutor:
    del process
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="inngest-checkpoint")
