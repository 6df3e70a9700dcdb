"""Nobody holds a connection for ever by sending nothing, or hardly anything."""

import http.client
import select
import socket
import threading
from collections.abc import Callable, Iterator

import gevent
import pytest
from flask import Flask, request

from inngest_py.api import errors
from inngest_py.api.bodies import BoundedRequest
from inngest_py.serving import listener
from inngest_py.serving.sockets import bind
from tests.processes import LOOPBACK, wait_until

PATIENCE = 0.5
POST = b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
Connect = Callable[[], socket.socket]


def app() -> Flask:
    """Make an app that reads a body, answers early, or says more than anybody reads."""
    made = Flask(__name__)
    made.request_class = BoundedRequest
    errors.add_to(made)

    @made.post("/e/key")
    def reads() -> str:
        return str(len(request.get_data()))

    @made.post("/refused")
    def refuses() -> tuple[str, int]:
        return "who are you?", 401

    @made.get("/large")
    def large() -> bytes:
        return b"x" * 64 * 1024 * 1024

    return made


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[listener.DrainingServer]:
    monkeypatch.setattr(listener, "_PATIENCE", PATIENCE)
    monkeypatch.setattr(listener, "_IDLE", 10 * PATIENCE)
    made: list[listener.DrainingServer] = []
    ready = threading.Event()

    def serve() -> None:
        made.append(listener.listen(bind(LOOPBACK, 0), app()))
        ready.set()
        made[0].serve_forever()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(10)
    yield made[0]
    made[0].loop.run_callback_threadsafe(lambda: gevent.spawn(made[0].stop))
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def connect(server: listener.DrainingServer) -> Iterator[Connect]:
    links: list[socket.socket] = []

    def one() -> socket.socket:
        links.append(socket.create_connection((LOOPBACK, server.server_port), timeout=20))
        return links[-1]

    yield one
    for link in links:
        link.close()


def all_of(link: socket.socket, trickle: bytes = b"") -> bytes:
    """Read until the server closes, sending a byte now and then meanwhile."""
    found = b""
    while True:
        if trickle and not select.select([link], [], [], PATIENCE / 10)[0]:
            link.sendall(trickle)
            continue
        try:
            more = link.recv(65536)
        except ConnectionResetError:
            return found
        if not more:
            return found
        found += more


@pytest.mark.parametrize("trickle", [b"", b"x"], ids=["silent", "byte by byte"])
@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (POST % b"refused", b"401 UNAUTHORIZED"),
        (POST % b"e/key", b"408 REQUEST TIMEOUT"),
        (POST % b"e/key" + b"x" * 50, b"the body did not come in time"),
        (b"POST /e/key HTTP/1.1\r\nHost: x\r\nX-A: ", b"408 Request Timeout"),
        (b"POST /e/key HT", b""),
        (b"", b""),
    ],
    ids=["answered early", "no body", "half a body", "half a head", "half a line", "nothing"],
)
def test_who_does_not_go_on_is_given_up(
    connect: Connect, server: listener.DrainingServer, sent: bytes, told: bytes, trickle: bytes
) -> None:
    link = connect()
    link.sendall(sent)
    assert told in all_of(link, trickle if sent else b"")
    wait_until(lambda: not server._open, 20, "the connection's greenlet to end")


def test_chunks_that_stop_are_given_up(connect: Connect, server: listener.DrainingServer) -> None:
    link = connect()
    head = b"POST /refused HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    link.sendall(head + b"5\r\nab")
    assert b"401 UNAUTHORIZED" in all_of(link)
    wait_until(lambda: not server._open, 20, "the connection's greenlet to end")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has it")
def test_who_reads_no_answer_is_given_up(connect: Connect, server: listener.DrainingServer) -> None:
    link = connect()
    link.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: len(server._open) == 1, 20, "the request")
    wait_until(lambda: not server._open, 20, "the connection's greenlet to end")


def test_who_pauses_between_requests_is_served(
    connect: Connect, server: listener.DrainingServer
) -> None:
    kept = http.client.HTTPConnection(LOOPBACK, server.server_port, timeout=20)
    kept.sock = connect()
    for _ in range(2):
        kept.request("POST", "/e/key", b"ab")
        assert kept.getresponse().read() == b"2"
        assert not select.select([kept.sock], [], [], 1.5 * PATIENCE)[0], "closed too early"
