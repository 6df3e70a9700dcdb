"""Answers of the API are sent at once, though they are written in two parts."""

import socket
from types import SimpleNamespace

from inngest_py.serving.listener import _Handler, listen
from inngest_py.serving.sockets import bind


def test_a_connection_sends_without_delay() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()),
    ):
        accepted, address = server.accept()
        with accepted:
            assert not accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            _Handler(accepted, address, SimpleNamespace())
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_every_connection_of_the_server_sends_without_delay() -> None:
    http = listen(bind("127.0.0.1", 0), lambda _environ, _start: [])
    try:
        assert http.handler_class is _Handler
    finally:
        http.stop()
