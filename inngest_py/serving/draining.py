"""Drain an HTTP server: it answers the requests it has, then closes.

gevent's own stop closes the listening socket and drops the open connections.

Written against gevent 26.9: a handler serves a connection in `handle()`, and waits for each request
in `read_requestline()`; a listener that does not accept can still `do_read()` what the kernel has.
"""

import socket
import time
from contextlib import suppress

from gevent.event import Event
from gevent.pywsgi import WSGIHandler, WSGIServer


class Handler(WSGIHandler):  # type: ignore[misc]
    """A connection that knows whether it is working on a request."""

    is_idle = True

    def handle(self) -> None:
        """Serve the connection's requests; the server counts it as open meanwhile."""
        self.server.entered(self)
        try:
            super().handle()
        finally:
            self.server.left(self)

    def read_requestline(self) -> str:
        """Wait for a request; a server that stops closes connections that wait here."""
        self.is_idle = True
        if self.server.is_stopping:
            self.read_no_more()
        line: str = super().read_requestline()
        self.is_idle = False
        return line

    def read_no_more(self) -> None:
        """Shut the reading side: requests that have arrived are answered, then comes the end."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RD)

    def finalize_headers(self) -> None:
        """Send `Connection: close` if the server stops."""
        super().finalize_headers()
        if self.server.is_stopping:
            self.close_connection = True
            self.response_headers.append((b"Connection", b"close"))


class DrainingServer(WSGIServer):  # type: ignore[misc]
    """A server that can be drained."""

    def __init__(self, *args: object, **kwargs: object) -> None:
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
        """Take no more connections, and answer the open requests for up to `seconds`.

        Returns how many connections are left with an unanswered request.
        """
        deadline = time.monotonic() + seconds
        self.is_stopping = True
        self.stop_accepting()
        with suppress(OSError):
            while arrived := self.do_read():  # connections that the kernel has accepted already
                self.do_handle(*arrived)
        time.sleep(0)  # let their greenlets begin
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
