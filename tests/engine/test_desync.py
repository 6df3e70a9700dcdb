"""Connections that are out of step: no call ever gets the answer to another."""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import gevent.pool
import pytest

from inngest_py.domain.reply.read import Reply
from inngest_py.domain.steps.gateway import GatewayRequest
from inngest_py.engine.transport import idle_connections
from inngest_py.engine.transport.gateway import Fetcher
from inngest_py.engine.transport.greenlets import GreenletTransport
from inngest_py.engine.transport.http import Transport
from tests.misbehaving import BROKEN, EITHER, EMPTY, KINDS, OWN, STRAY, Misbehaving, head, whole
from tests.processes import LOOPBACK

CALLS, AT_ONCE = 250, 20
PATIENCE = timedelta(seconds=60)
Ask = partial[Reply]


@pytest.fixture(params=[Transport, GreenletTransport])
def making(request: pytest.FixtureRequest) -> type[Transport]:
    found: type[Transport] = request.param
    return found


def _send(transport: Transport, url: str, kind: str, question: str, timeout: timedelta) -> Reply:
    headers = {"X-Kind": kind, "X-Question": question}
    return transport.send("POST", url, headers, b'{"a":1}', timeout)


def _fetch(fetcher: Fetcher, url: str, kind: str, question: str, timeout: timedelta) -> Reply:
    headers = {"X-Kind": kind, "X-Question": question}
    return fetcher.fetch(GatewayRequest("Gateway", "POST", url, headers, '{"a":1}'), timeout)


@pytest.fixture(params=[Transport, GreenletTransport, Fetcher])
def ask(request: pytest.FixtureRequest) -> Iterator[Ask]:
    with Misbehaving() as server:
        client = request.param(connections=AT_ONCE)
        call = _fetch if isinstance(client, Fetcher) else _send
        yield partial(call, client, server.url)
        client.close()


def _verdict(kind: str, question: str, reply: Reply) -> str | None:
    """Say what is wrong with the reply to a question of a kind."""
    own = (reply.status, reply.body, reply.unreachable) == (200, question.encode(), None)
    if kind in OWN:
        fine = own
    elif kind in EITHER:
        fine = own or bool(reply.unreachable)
    elif kind in EMPTY:
        fine = reply.status in (204, 304) and not reply.body and reply.unreachable is None
    else:
        fine = bool(reply.unreachable)
    return None if fine else f"{question}, {kind}: {reply}"


@pytest.mark.parametrize("distrust_seconds", [0.0, 60.0])
def test_no_call_is_given_anothers_answer_whatever_servers_do(
    ask: Ask, distrust_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without distrust, connections to a host that misbehaves are still kept and reused."""
    monkeypatch.setattr(idle_connections, "DISTRUST_SECONDS", distrust_seconds)
    seed = random.randrange(2**32)
    chosen = random.Random(seed).choices(list(KINDS), k=CALLS)

    def call(number: int) -> str | None:
        kind, question = chosen[number], f"question-{number}"
        timeout = timedelta(seconds=0.3) if kind == "a late answer" else PATIENCE
        return _verdict(kind, question, ask(kind, question, timeout))

    if isinstance(ask.args[0], GreenletTransport):
        verdicts = gevent.pool.Pool(AT_ONCE).map(call, range(CALLS))
    else:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            verdicts = list(threads.map(call, range(CALLS)))
    assert [one for one in verdicts if one is not None] == [], f"seed {seed}"


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_by_itself_and_the_call_after_it(ask: Ask, kind: str) -> None:
    timeout = timedelta(seconds=0.3) if kind == "a late answer" else PATIENCE
    for question in ("first", "second"):
        assert _verdict(kind, question, ask(kind, question, timeout)) is None
    assert ask("plain", "after", PATIENCE).body == b"after"


def test_the_kinds_do_not_overlap() -> None:
    assert len(KINDS) == len(OWN) + len(EITHER) + len(EMPTY) + len(BROKEN)


class _Once:
    """A server whose connections a test controls."""

    def __init__(self) -> None:
        self._listener = socket.create_server((LOOPBACK, 0))
        self.url = f"http://{LOOPBACK}:{self._listener.getsockname()[1]}/"

    def accept(self) -> socket.socket:
        self._listener.settimeout(20)
        made, _ = self._listener.accept()
        made.settimeout(20)
        return made

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def once() -> Iterator[_Once]:
    made = _Once()
    yield made
    made.close()


def _post(transport: Transport, url: str, body: bytes = b"{}") -> Callable[[], Reply]:
    """Start a call in a thread of its own; the returned function waits for its reply."""
    found: list[Reply] = []

    def call() -> None:
        found.append(transport.send("POST", url, {}, body, PATIENCE))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()

    def reply() -> Reply:
        thread.join(30)
        return found[0]

    return reply


def test_bytes_on_an_idle_connection_answer_no_request(
    making: type[Transport], once: _Once
) -> None:
    transport = making(kept_seconds=60)
    first = _post(transport, once.url)
    with once.accept() as kept:
        assert kept.recv(65536)
        kept.sendall(whole(b"one"))
        assert first().body == b"one"
        kept.sendall(whole(STRAY))  # before it is asked anything
        second = _post(transport, once.url)
        with once.accept() as other:
            assert other.recv(65536)
            other.sendall(whole(b"two"))
            assert second().body == b"two"
            # the same for each further call: nobody can say which request such an answer is for
            third = _post(transport, once.url)
            with once.accept() as another:
                assert another.recv(65536)
                another.sendall(whole(b"three"))
                assert third().body == b"three"
    transport.close()


def test_an_answer_before_the_whole_request_is_read_is_the_answer(
    making: type[Transport], once: _Once
) -> None:
    transport = making()
    reply = _post(transport, once.url, b"x" * 30_000_000)
    with once.accept() as sock:
        assert sock.recv(1000)
        sock.sendall(whole(b"too much", status=413))  # and nothing more is read
        assert (reply().status, reply().body) == (413, b"too much")
        assert reply().unreachable is None
    after = _post(transport, once.url)
    with once.accept() as sock:
        assert sock.recv(65536)
        sock.sendall(whole(b"fresh"))
        assert after().body == b"fresh"
    transport.close()


def test_a_greenlet_that_is_killed_leaves_no_connection_behind(once: _Once) -> None:
    transport = GreenletTransport()
    asked = threading.Event()
    answers = iter([b"one", b"two"])

    def serve() -> None:
        for body in answers:
            with once.accept() as sock:
                sock.recv(65536)
                asked.set()
                if body == b"one":
                    sock.recv(1)  # until the caller has closed it
                else:
                    sock.sendall(whole(body))

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    killed = gevent.spawn(transport.send, "POST", once.url, {}, b"{}", PATIENCE)
    gevent.sleep(0)
    with gevent.Timeout(20):
        while not asked.is_set():
            gevent.sleep(0.01)
    killed.kill()
    assert transport.send("POST", once.url, {}, b"{}", PATIENCE).body == b"two"
    server.join(20)
    transport.close()


def test_only_final_answers_count_when_they_come_late(making: type[Transport], once: _Once) -> None:
    transport = making(kept_seconds=60)
    first = _post(transport, once.url)
    with once.accept() as sock:
        sock.recv(65536)
        sock.sendall(head(103, "Link: </a>"))
        other = _post(transport, once.url)  # meanwhile another call needs a connection of its own
        with once.accept() as second:
            second.recv(65536)
            second.sendall(whole(b"other"))
            assert other().body == b"other"
            sock.sendall(whole(b"first"))
            assert first().body == b"first"
    transport.close()


@pytest.mark.parametrize("begun", [b"", head(200, "Content-Length: 100000")])
def test_an_answer_that_comes_byte_by_byte_for_ever_is_timed_out(
    making: type[Transport], once: _Once, begun: bytes
) -> None:
    transport = making()

    def drip() -> None:
        with once.accept() as sock, contextlib.suppress(OSError):
            sock.recv(65536)
            sock.sendall(begun or b"HTTP/1.1 200 OK\r\nX: ")
            while True:
                sock.sendall(b"x")
                time.sleep(0.02)

    server = threading.Thread(target=drip, daemon=True)
    server.start()
    reply = transport.send("POST", once.url, {}, b"{}", timedelta(seconds=0.5))
    assert reply.unreachable == "timed out"
    server.join(20)  # the connection was closed
    assert not server.is_alive()
    transport.close()
