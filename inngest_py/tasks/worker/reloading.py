"""SIGHUP: a worker stops as for SIGTERM and starts again, as the same process.

Celery's own restart runs its module by file name, which does not work for `python -m celery`. It
also closes every file, and so the pipe to the worker's supervisor.

Written against Celery 5.7: its handler of SIGHUP is set before the worker's steps start, in a
terminal there is none, and `state.should_stop` stops the consumer's loop.
"""

import atexit
import os
import signal
import sys

from celery.worker import state


class Reload:
    """What a worker does on SIGHUP."""

    def __init__(self) -> None:
        self._wanted = False

    def handle_sighup(self) -> None:
        """Handle SIGHUP in place of Celery. In a terminal neither does."""
        if callable(signal.getsignal(signal.SIGHUP)):
            signal.signal(signal.SIGHUP, self._want)

    def restart_if_wanted(self) -> None:
        """Start the program again if SIGHUP asked for it; then this does not return."""
        if self._wanted:
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - itself

    def _want(self, _number: int, _frame: object) -> None:
        self._wanted = True
        atexit.register(self.restart_if_wanted)
        state.should_stop = os.EX_OK
