"""The HTTP server of the API: gevent's, with answers that do not wait for acknowledgements."""

import socket
from typing import Any

import click
from gevent.pywsgi import WSGIHandler, WSGIServer

from .. import observe

_BACKLOG = 1024


class _Handler(WSGIHandler):  # type: ignore[misc]
    """A connection. Head and body are sent apart: on one that is kept alive, the kernel would hold
    the second back until the client has acknowledged the first, which takes clients 40 ms.
    """

    def __init__(self, sock: Any, address: Any, server: Any, rfile: Any = None) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(sock, address, server, rfile)


def listen(address: tuple[str, int], app: Any) -> WSGIServer:
    """Serve a WSGI app. Raises ClickException where the address cannot be had."""
    http = WSGIServer(
        address, app, log=None, error_log=None, backlog=_BACKLOG, handler_class=_Handler
    )
    try:
        http.start()
    except OSError as error:
        told = f"cannot listen on {address[0]}:{address[1]}: {error.strerror}"
        raise click.ClickException(f"{told}; use another --port or --host") from None
    observe.event("server.ready", host=address[0], port=address[1])
    return http
