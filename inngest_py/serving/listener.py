"""The HTTP server of the API: gevent's, with answers that do not wait for acknowledgements.

Written against gevent 26.9: after each answer, a handler calls `_discard()` of the request's body,
and an error of a client becomes an answer in `_handle_client_error()`.
"""

import socket
from typing import Any, cast

from gevent import Timeout
from gevent.pywsgi import Input

from .. import observe
from ..api.gateway.serving import TAKE_SOCKET
from .draining import DrainingServer, Handler

_MOST_LEFT = 64 * 1024 * 1024
_CHUNK = 16 * 1024
# What a sender may take for the headers, for each piece of the body that the app reads, and for all
# that is read over after an answer. nginx and Node give 60 s; with pieces of 64 KiB, a body has to
# come at 1 KiB/s.
_PATIENCE = 60.0
# What a connection may take to its next request. Load balancers keep idle ones, 10 minutes at the
# longest (Google's), and must be the first to close: what they send into a close is lost.
_IDLE = 620.0
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class _Input(Input):  # type: ignore[misc]
    """A request's body. What the app does not read of it is read and dropped, up to a limit."""

    def __init__(self, *given: object, **more: object) -> None:
        super().__init__(*given, **more)
        self.is_given_up = False

    def read(self, length: int | None = None) -> bytes:
        """Read so much, or all. Raises TimeoutError for a sender who takes too long over it."""
        try:
            with _within(_PATIENCE):
                found: bytes = super().read(length)
        except TimeoutError:
            self.is_given_up = True
            raise
        return found

    def read1(self, length: int) -> bytes:
        """Read what has come of the body, so much at most; waits only if nothing has.

        Of a body in HTTP's chunks, that is up to the end of a chunk.
        """
        first = self.read(min(1, length))
        left = (
            self.chunk_length if self.chunked_input else self.content_length or 0
        ) - self.position
        if not first or left <= 0 or length <= 1:
            return first
        return first + self.read(min(left, length - 1))

    def _discard(self) -> None:
        """Read what is left, up to _MOST_LEFT: a sender who is cut off at once would not see its
        answer. After more, after bad chunks or a silence, nobody knows where the next request
        begins.
        """
        if self.is_given_up or not (self._chunked_input_error or self._is_left()):
            return
        self.is_given_up = True
        if self._chunked_input_error:
            return
        self.send_100_continue_enabled = False
        left = _MOST_LEFT
        with _within(_PATIENCE):
            while left > 0 and (found := super().read(_CHUNK)):
                left -= len(found)
        self.is_given_up = left <= 0

    def _is_left(self) -> bool:
        return bool(self.chunked_input or self.position < (self.content_length or 0))


class _Handler(Handler):
    """A connection with TCP_NODELAY. The head and the body of an answer are two sends. On a kept
    connection the kernel would delay the second until the client acknowledges the first: 40 ms.
    """

    wsgi_input: Any

    def __init__(self, sock: Any, address: Any, server: Any, rfile: Any = None) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: for who takes none of an answer
            unread_ms = round(_PATIENCE * 1000)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unread_ms)
        super().__init__(sock, address, server, rfile)

    def read_requestline(self) -> str:
        """Wait for a request, and no longer than for an idle connection."""
        with _within(_IDLE):
            return super().read_requestline()

    def read_request(self, raw_requestline: str) -> bool:
        """Read the headers. Raises TimeoutError for a sender who takes too long over them."""
        with _within(_PATIENCE):
            return bool(super().read_request(raw_requestline))

    def _handle_client_error(self, ex: Exception) -> tuple[str, bytes]:
        if isinstance(ex, TimeoutError):
            return "408", _TOO_SLOW
        found: tuple[str, bytes] = super()._handle_client_error(ex)
        return found

    def get_environ(self) -> dict[str, object]:
        made: dict[str, object] = super().get_environ()
        given = self.wsgi_input
        body = _Input(
            given.rfile, given.content_length, given.socket, chunked_input=given.chunked_input
        )
        if made["wsgi.input"] is given:
            made["wsgi.input"] = body
        self.wsgi_input = body
        made[TAKE_SOCKET] = self._take_socket
        return made

    def _take_socket(self) -> socket.socket:
        """Give the connection to the app, which speaks another protocol on it."""
        self.close_connection = True
        return cast(socket.socket, self.socket)

    def handle_one_response(self) -> None:
        super().handle_one_response()
        if self.wsgi_input.is_given_up:
            self.close_connection = True


def _within(seconds: float) -> Timeout:
    """Raise TimeoutError in a block that takes longer."""
    return Timeout(seconds, TimeoutError)


def listen(on: socket.socket, app: Any, *, process: int | None = None) -> DrainingServer:
    """Serve a WSGI app on a socket that listens.

    `process` is the number of one of several that accept from the socket: each then takes one
    connection at a time, so that the others get theirs.
    """
    many = {} if process is None else {"environ": {"wsgi.multiprocess": True}}
    http = DrainingServer(on, app, log=None, error_log=None, handler_class=_Handler, **many)
    http.start()
    host, port = http.address[:2]
    if process is None:
        observe.event("server.ready", host=host, port=port)
    else:
        observe.event("server.ready", host=host, port=port, process=process)
    return http
