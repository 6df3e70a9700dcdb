"""SIGHUP: a worker stops as for SIGTERM and begins anew, as the same process.

Celery's own way begins with the file of its module, which `python -m celery` cannot run, and closes
every file, the line to the worker's supervisor among them.
"""

import atexit
import os
import signal
import sys
from typing import Any

from celery.worker import state


class Reload:
    """What a worker does on SIGHUP."""

    def __init__(self) -> None:
        self._wanted = False

    def heed(self) -> None:
        """Take the signal over from Celery, which leaves it alone in a terminal."""
        if callable(signal.getsignal(signal.SIGHUP)):
            signal.signal(signal.SIGHUP, self._want)

    def again(self) -> None:
        """Begin anew, if that is wanted; does not return then."""
        if self._wanted:
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - itself

    def _want(self, _number: int, _frame: Any) -> None:
        self._wanted = True
        atexit.register(self.again)
        state.should_stop = os.EX_OK
