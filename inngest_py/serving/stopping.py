"""The signals that stop a server, and what a terminal's Ctrl-C means."""

import signal
import sys
from collections.abc import Callable

import gevent
from gevent.event import Event

from .. import observe


class Stopping:
    """Heeds SIGTERM, SIGINT and SIGHUP for the greenlet that makes it.

    `stopped` is set when the server has to stop, `in_a_hurry` when it has to do so without waiting
    for balancers. `cut` ends all at once: a second Ctrl-C calls it. `begun` is called first.
    """

    def __init__(self, cut: Callable[[], None], begun: Callable[[], None] = lambda: None) -> None:
        self._cut, self._begun = cut, begun
        self._main = gevent.getcurrent()
        self._interrupts = 0
        self.stopped, self.in_a_hurry = Event(), Event()
        self.waits = True  # for the database: nothing has begun yet, so a stop is immediate

    def heed(self) -> None:
        """Heed the signals of a terminal and of a supervisor."""
        gevent.signal_handler(signal.SIGTERM, self.stop)
        gevent.signal_handler(signal.SIGINT, self._interrupt)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup
            return
        if sys.stdin is not None and sys.stdin.isatty():  # SIGHUP: the terminal has closed
            gevent.signal_handler(signal.SIGHUP, self.stop)
        else:
            gevent.signal_handler(signal.SIGHUP, _refuse_to_reload)

    def heed_parent(self, unready: Callable[[], None]) -> None:
        """Heed a parent, which knows what a terminal's signals mean; SIGUSR1 calls `unready`."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        gevent.signal_handler(signal.SIGTERM, self.stop)
        gevent.signal_handler(signal.SIGUSR1, unready)
        gevent.signal_handler(signal.SIGQUIT, self._cut)

    def stop(self) -> None:
        """Have the server stop."""
        self._begun()
        self.stopped.set()
        if self.waits:
            observe.event("server.stopping")
            gevent.get_hub().loop.run_callback(self._main.throw, SystemExit(0))

    def _interrupt(self) -> None:
        """Stop at the first Ctrl-C, and at once at the second."""
        self._interrupts += 1
        self.in_a_hurry.set()
        if self._interrupts == 1:
            if not self.waits:
                told = "waiting for calls and requests to end; press Ctrl-C again to cut them"
                observe.event("server.interrupted", text=told)
            self.stop()
        elif self._interrupts == 2:
            observe.event("server.cut", level=30)
            self._cut()


def _refuse_to_reload() -> None:
    text = "SIGHUP changes nothing: restart to have settings read again"
    observe.event("server.not_reloaded", level=30, text=text)
