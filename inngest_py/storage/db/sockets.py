"""Waiting for PostgreSQL: a greenlet does not block others, and nothing waits for ever.

psycopg2 calls `_wait` wherever it would block on a connection's socket. A server that hangs, or a
network that silently drops packets, is noticed when no byte comes for some time. The connection is
then closed: psycopg2 does that when the callback raises.

Written against psycopg2 2.9, and gevent's documented loops and hubs.
"""

import select
import socket
from typing import Any, Protocol

from gevent import get_hub, getcurrent
from gevent.monkey import is_module_patched
from psycopg2 import OperationalError, extensions

from . import deadlines

_READ, _WRITE = 1, 2  # events of gevent's loop


class Silent(OperationalError):
    """PostgreSQL did not answer in time; known by `is_silence` where psycopg2 is not loaded."""

    is_silence = True


class Waiter(Protocol):
    """Waits on one socket. The socket's number may change while the connection is made."""

    def wait(self, fd: int, events: int, seconds: float | None) -> bool:
        """Wait until the socket can be read or written; False after the time-out."""

    def close(self) -> None:
        """Release what it waits with."""


class _Silence(BaseException):
    """Nothing came in time. Thrown into the waiting greenlet, and caught there."""


class _GreenletWaiter:
    """Keeps its watchers, instead of making them for each wait as gevent.socket does.

    A wait costs 4.3 µs with a time-out; gevent.socket.wait_read() costs 8.3 µs, 5 without one.
    """

    def __init__(self) -> None:
        self._hub: Any = None
        self._fd = -1
        self._watchers: dict[int, Any] = {}
        self._timer: Any = None
        self._after: float | None = None

    def wait(self, fd: int, events: int, seconds: float | None) -> bool:
        hub = get_hub()
        if hub is not self._hub or fd != self._fd:
            self.close()
            self._hub, self._fd = hub, fd
        watcher = self._watchers.get(events)
        if watcher is None:
            watcher = self._watchers[events] = hub.loop.io(fd, events)
        if seconds is None:
            hub.wait(watcher)
            return True
        if seconds != self._after:
            if self._timer is not None:
                self._timer.close()
            self._timer, self._after = hub.loop.timer(seconds), seconds
        # update: the loop's time stands still while code computes, which would count as waited. A
        # server whose imports took 5 s gave up its first connection at once. It costs 0.07 µs.
        self._timer.start(getcurrent().throw, _Silence, update=True)
        try:
            hub.wait(watcher)
        except _Silence:
            return False
        finally:
            self._timer.stop()
        return True

    def close(self) -> None:
        for watcher in self._watchers.values():
            watcher.close()
        if self._timer is not None:
            self._timer.close()
        self._watchers, self._timer, self._after = {}, None, None


class _PollWaiter:
    """Blocks its thread."""

    def wait(self, fd: int, events: int, seconds: float | None) -> bool:
        poll = select.poll()
        poll.register(fd, select.POLLIN if events == _READ else select.POLLOUT)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

    def close(self) -> None:
        pass


def waiter() -> Waiter:
    """Make a connection's waiter: for greenlets if gevent has patched the process, or threads."""
    return _GreenletWaiter() if is_module_patched("socket") else _PollWaiter()


def install() -> None:
    """Make psycopg2 wait with `_wait` in this process."""
    extensions.set_wait_callback(_wait)


def _wait(connection: extensions.connection) -> None:
    """Wait until the connection has finished its operation. Raises Silent.

    It waits for the connection's patience, or until the deadline if that is earlier. Connections
    that are not Pipelined have no patience, and wait without limit.
    """
    waits = getattr(connection, "waiter", None) or waiter()
    patience: float | None = getattr(connection, "patience", None)
    connecting = connection.status == extensions.STATUS_SETUP
    while (state := connection.poll()) != extensions.POLL_OK:
        if connecting:
            # libpq may try the next address now, with a new socket that often has the same number:
            # a watcher that is kept would still wait for the closed socket
            waits.close()
        events = _READ if state == extensions.POLL_READ else _WRITE
        left = deadlines.left()
        seconds = patience if left is None or (patience and patience < left) else left
        if waits.wait(connection.fileno(), events, seconds):
            continue
        silence = Silent(f"PostgreSQL did not answer within {seconds:g} s")
        if not (connecting and _goes_on(connection)):
            raise silence


def _goes_on(connection: extensions.connection) -> bool:
    """Give up an address that does not answer; say whether libpq tries the next one.

    It does by itself where an address refuses, but not where nobody answers: its own time-out does
    not hold for who polls. Where an address takes the connection and then says nothing, libpq does
    not go on: losing a connection that was made ends its try.
    """
    if deadlines.left() == 0:
        return False
    try:
        with socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as link:
            link.shutdown(socket.SHUT_RDWR)
        connection.poll()
    except (OSError, OperationalError):
        return False
    return True
