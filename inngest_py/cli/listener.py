"""The HTTP server of the API: gevent's, with answers that do not wait for acknowledgements."""

import socket
from typing import Any

import click
from gevent.pywsgi import Input

from .. import observe
from .draining import Handler, Server

_BACKLOG = 1024
_MOST_LEFT = 64 * 1024 * 1024
_CHUNK = 16 * 1024


class _Input(Input):  # type: ignore[misc]
    """A request's body. What the app leaves of it is read over, but not for ever."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.is_given_up = False

    def _discard(self) -> None:
        """Read what is left, up to _MOST_LEFT: a sender who is cut off at once would not see its
        answer. After more, or after bad chunks, nobody knows where the next request begins.
        """
        if not (self._chunked_input_error or self._is_left()):
            return
        self.send_100_continue_enabled = False
        left = 0 if self._chunked_input_error else _MOST_LEFT
        while left > 0 and (found := self.read(_CHUNK)):
            left -= len(found)
        self.send_100_continue_enabled = True
        self.is_given_up = left <= 0

    def _is_left(self) -> bool:
        return bool(self.chunked_input or self.position < (self.content_length or 0))


class _Handler(Handler):
    """A connection. Head and body are sent apart: on one that is kept alive, the kernel would hold
    the second back until the client has acknowledged the first, which takes clients 40 ms.
    """

    wsgi_input: Any

    def __init__(self, sock: Any, address: Any, server: Any, rfile: Any = None) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(sock, address, server, rfile)

    def get_environ(self) -> dict[str, Any]:
        made: dict[str, Any] = super().get_environ()
        given = self.wsgi_input
        body = _Input(
            given.rfile, given.content_length, given.socket, chunked_input=given.chunked_input
        )
        if made["wsgi.input"] is given:
            made["wsgi.input"] = body
        self.wsgi_input = body
        return made

    def handle_one_response(self) -> None:
        super().handle_one_response()
        if self.wsgi_input.is_given_up:
            self.close_connection = True


def listen(address: tuple[str, int], app: Any) -> Server:
    """Serve a WSGI app. Raises ClickException where the address cannot be had."""
    http = Server(address, app, log=None, error_log=None, backlog=_BACKLOG, handler_class=_Handler)
    try:
        http.start()
    except OSError as error:
        told = f"cannot listen on {address[0]}:{address[1]}: {error.strerror}"
        raise click.ClickException(f"{told}; use another --port or --host") from None
    observe.event("server.ready", host=address[0], port=address[1])
    return http
