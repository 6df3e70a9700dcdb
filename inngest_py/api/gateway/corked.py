"""What is written to a worker's socket: all that greenlets have for it in one turn goes at once.

Answers that were committed together are followed by their acknowledgements and by the next requests
of their runs. A system call for each of these took as much CPU as all else that sends them.
"""

import socket
import threading
from contextlib import suppress

import gevent

# of a worker that does not read: who has more for it waits
MOST_WAITING = 1024 * 1024


class Corked:
    """The writing side of a socket, for the greenlets of one thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._waiting: list[bytes] = []
        self._size = 0
        self._is_flushing = self._is_broken = False
        self._written = threading.Event()
        self._written.set()

    def write(self, data: bytes) -> None:
        """Have bytes written soon; b"" closes the connection for writing.

        Waits while the peer leaves too much unread. Raises ConnectionError if it is closed. An
        error of a later write closes it for its reader, too.
        """
        while self._size >= MOST_WAITING and not self._is_broken:
            self._written.wait()
        if self._is_broken:
            raise ConnectionError("the connection is closed")
        self._waiting.append(data)
        self._size += len(data)
        if not self._is_flushing:
            self._is_flushing = True
            self._written.clear()
            gevent.spawn(self._flush)

    def wait(self, seconds: float) -> None:
        """Wait until all is written, or for so long."""
        self._written.wait(seconds)

    def _flush(self) -> None:
        try:
            while self._waiting:
                parts, self._waiting = self._waiting, []
                self._send(b"".join(parts))
                if not parts[-1]:
                    self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._is_broken = True
            self._waiting.clear()
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
        finally:
            self._is_flushing = False
            self._written.set()

    def _send(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                sent = self._sock.send(left)
            except TimeoutError:  # the socket's, which is for its reader
                continue
            left = left[sent:]
            self._size -= sent
