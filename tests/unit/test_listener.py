"""How the API listens: at an address that is free, and its answers are sent at once."""

import socket
from types import SimpleNamespace

import click
import pytest

from inngest_py.serving.listener import _Handler, listen
from inngest_py.serving.sockets import bind
from tests.processes import LOOPBACK


def test_a_connection_sends_without_delay() -> None:
    with (
        socket.create_server((LOOPBACK, 0)) as server,
        socket.create_connection(server.getsockname()),
    ):
        accepted, address = server.accept()
        with accepted:
            assert not accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            _Handler(accepted, address, SimpleNamespace())
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_every_connection_of_the_server_sends_without_delay() -> None:
    http = listen(bind(LOOPBACK, 0), lambda _environ, _start: [])
    try:
        assert http.handler_class is _Handler
    finally:
        http.stop()


def test_an_address_that_is_taken_is_named_once() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(click.ClickException) as refused:
            bind(LOOPBACK, port)
    where = f"cannot listen on {LOOPBACK}:{port}"
    assert refused.value.message == (
        f"{where}: Address already in use; use another --port or --host"
    )
