"""What is written to a subscriber's socket: at once if the kernel takes it, else from a buffer.

So a message costs a system call for each subscriber, and a greenlet only for slow ones.
"""

import os
import socket
import threading
from collections import deque
from contextlib import suppress

MOST_WAITING = 1024 * 1024
_CLOSE_SECONDS = 5.0


class Outgoing:
    """The writing side of a socket, which must have a time-out: a write must not block."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._waiting: deque[bytes | memoryview] = deque()
        self._size = 0
        self._is_flushing = self._is_ended = False

    def write(self, data: bytes) -> bool:
        """Write or keep bytes; False if too many are kept. Raises OSError if it is closed."""
        with self._lock:
            if self._is_ended:
                raise ConnectionError("the connection is closed")
            if self._is_flushing:
                if self._size + len(data) > MOST_WAITING:
                    return False
                self._keep(data)
                return True
            sent = self._write(data)
            if sent < len(data):
                self._keep(memoryview(data)[sent:])
                self._is_flushing = True
                threading.Thread(target=self._flush, daemon=True).start()
            return True

    def end(self, last: bytes) -> None:
        """Drop what waits, write the last bytes, and take no more; cut the socket soon after."""
        with self._lock:
            if self._is_ended:
                return
            self._is_ended = True
            begun = [part for part in self._waiting if isinstance(part, memoryview)]
            self._waiting = deque(begun)  # the rest of a frame: others would be read as its end
            self._keep(last)
            if not self._is_flushing:
                self._is_flushing = True
                threading.Thread(target=self._flush, daemon=True).start()
        timer = threading.Timer(_CLOSE_SECONDS, self.cut)
        timer.daemon = True
        timer.start()

    def cut(self) -> None:
        """Close both directions: whoever reads or writes stops."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _keep(self, data: bytes | memoryview) -> None:
        self._waiting.append(data)
        self._size += len(data)

    def _write(self, data: bytes | memoryview) -> int:
        try:
            return os.write(self._sock.fileno(), data)
        except BlockingIOError:
            return 0

    def _flush(self) -> None:
        """Write what waits, as fast as the peer reads."""
        try:
            while (part := self._first()) is not None:
                try:
                    self._written(part, self._sock.send(part))
                except TimeoutError:  # the socket's, which is for its reader
                    continue
            if self._is_ended:  # the peer waits for this; what it still sends can be read
                self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.cut()

    def _first(self) -> memoryview | None:
        with self._lock:
            if not self._waiting:
                self._is_flushing = False
                return None
            part = self._waiting[0] = memoryview(self._waiting[0])
            return part

    def _written(self, part: memoryview, sent: int) -> None:
        with self._lock:
            self._size -= sent
            if sent == len(part):
                self._waiting.popleft()
            else:
                self._waiting[0] = part[sent:]
