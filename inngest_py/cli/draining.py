"""Draining: an HTTP server that is to stop answers the requests it has, and closes.

gevent's own stop closes the listening socket and forgets the connections.
"""

import socket
import time
from contextlib import suppress
from typing import Any

from gevent.event import Event
from gevent.pywsgi import WSGIHandler, WSGIServer


class Handler(WSGIHandler):  # type: ignore[misc]
    """A connection that knows whether it has a request."""

    is_idle = True

    def handle(self) -> None:
        """Serve its requests; the server knows it meanwhile."""
        self.server.entered(self)
        try:
            super().handle()
        finally:
            self.server.left(self)

    def read_requestline(self) -> str:
        """Wait for a request; a server that is to stop closes what waits here."""
        self.is_idle = True
        if self.server.is_stopping:
            self.read_no_more()
        line: str = super().read_requestline()
        self.is_idle = False
        return line

    def read_no_more(self) -> None:
        """Answer what has arrived, and then find the end of the connection."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RD)

    def finalize_headers(self) -> None:
        """Tell the client that the connection ends, where it does."""
        super().finalize_headers()
        if self.server.is_stopping:
            self.close_connection = True
            self.response_headers.append((b"Connection", b"close"))


class Server(WSGIServer):  # type: ignore[misc]
    """A server that can be drained."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, handler_class=kwargs.pop("handler_class", Handler), **kwargs)
        self.is_stopping = self._is_cut = False
        self._open: set[Handler] = set()
        self._empty = Event()

    def entered(self, handler: Handler) -> None:
        """Note a connection."""
        self._open.add(handler)

    def left(self, handler: Handler) -> None:
        """Forget a connection."""
        self._open.discard(handler)
        if not self._open:
            self._empty.set()

    def drain(self, seconds: float) -> int:
        """Take no more connections and answer the requests there are, for so long at the most.

        Returns how many connections were left with a request unanswered.
        """
        deadline = time.monotonic() + seconds
        self.is_stopping = True
        self.stop_accepting()
        with suppress(OSError):
            while arrived := self.do_read():  # the kernel has greeted them already
                self.do_handle(*arrived)
        time.sleep(0)  # they begin
        self.close()
        for handler in list(self._open):
            if handler.is_idle:
                handler.read_no_more()
        while self._open and not self._is_cut and (left := deadline - time.monotonic()) > 0:
            self._empty.clear()
            self._empty.wait(left)
        return len(self._open)

    def cut(self) -> None:
        """Let drain() end now, or as soon as it is called."""
        self._is_cut = True
        self._empty.set()
