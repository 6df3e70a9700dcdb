"""Connections that have nothing to do: what their workers send is waited for together.

A thousand idle workers send a hundred heartbeats a second. To wake up for each of them took most of
what they cost. So the first one that comes waits for others for a moment, and all that have come
are read and answered in one turn.
"""

import select
import time
from contextlib import suppress

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.socket import wait_read

from ... import observe
from ...storage.db.outages import logged

# with fewer connections in the process, each is read at once
FEW = 50
# how long a message of an idle worker may wait for others
_GATHER_SECONDS = 0.1
_LOOK_SECONDS = 1.0
_EPOLL = "epoll"


class Resting:
    """Waits for the idle ones of `connections` connections, for the greenlets of one thread.

    Without epoll, as on macOS, each is read by its own greenlet.
    """

    def __init__(self, few: int = FEW) -> None:
        self._few, self.connections = few, 0
        # gevent takes it out of the module, since its poll() may block all greenlets
        self._works = hasattr(select, _EPOLL) or monkey.is_object_patched("select", _EPOLL)
        self._epoll: select.epoll | None = None
        self._waiting: dict[int, tuple[Event, float]] = {}
        self._is_running = False
        self._look_at = 0.0

    def wait(self, fileno: int, seconds: float) -> bool:
        """Wait until a socket has something to read, and a moment longer, or until it is woken.

        False means that the time has passed, by up to a second.
        """
        if not self._works or self.connections <= self._few:
            return True
        changed, until = Event(), time.monotonic() + seconds
        self._waiting[fileno] = changed, until
        try:
            self._watch(fileno)
            changed.wait()
        finally:
            if self._waiting.get(fileno, (None,))[0] is changed:
                del self._waiting[fileno]
        return time.monotonic() < until

    def wake(self, fileno: int) -> bool:
        """Let a socket be read by its own greenlet; say whether that was waiting here."""
        found = self._waiting.pop(fileno, None)
        if found is not None:
            found[0].set()
        return found is not None

    def _watch(self, fileno: int) -> None:
        if self._epoll is None:
            self._epoll = monkey.get_original("select", _EPOLL)()
        once = select.EPOLLIN | select.EPOLLONESHOT
        try:
            self._epoll.modify(fileno, once)
        except FileNotFoundError:
            self._epoll.register(fileno, once)
        if not self._is_running:
            self._is_running = True
            gevent.spawn(self._run, self._epoll)

    def _run(self, epoll: "select.epoll") -> None:
        try:
            while self._waiting:
                with suppress(TimeoutError):
                    wait_read(epoll.fileno(), _LOOK_SECONDS)
                    gevent.sleep(_GATHER_SECONDS)
                for fileno, _ in epoll.poll(0):
                    self.wake(fileno)
                self._wake_overdue()
        except Exception as error:
            observe.event("connect.failed", level=40, **logged(error))
            self._works = False
            for fileno in list(self._waiting):
                self.wake(fileno)
        finally:
            self._is_running = False

    def _wake_overdue(self) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        for fileno in [one for one, (_, until) in self._waiting.items() if until <= now]:
            self.wake(fileno)
