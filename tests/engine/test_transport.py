"""Both transports against a server that misbehaves in every way the wire allows."""

import errno
import gzip
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import gevent.socket
import pytest

from inngest_py.domain.access.reach import Reach
from inngest_py.domain.limits import MAX_RESPONSE_BYTES
from inngest_py.domain.reply.read import CUT_WHILE_READ, down_cause, read
from inngest_py.domain.values import canonical
from inngest_py.engine.transport import greenlets, http
from inngest_py.engine.transport.greenlets import GreenletTransport
from inngest_py.engine.transport.http import Transport
from tests.factories import NOW
from tests.processes import LOOPBACK, free_port
from tests.provider import Provider

HEADERS = {"Content-Type": "application/json", "X-Run-ID": "r"}
_ZIPPED = gzip.compress(b'{"zipped":true}')
_HALVES = gzip.compress(b"0" * (MAX_RESPONSE_BYTES // 2))
_BOMB = gzip.compress(b"0" * (MAX_RESPONSE_BYTES + 1))


def _head(status: int, *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} X", *lines, "", ""]).encode()


def _whole(status: int, body: bytes, *lines: str) -> bytes:
    return _head(status, f"Content-Length: {len(body)}", *lines) + body


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    answers: dict[str, Callable[[bytes], bytes | None]]
    seen: list[tuple[str, bytes]]
    connections = 0


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.server.connections += 1
        while line := self.rfile.readline():
            method, target, _ = line.decode().split(" ", 2)
            length = 0
            while header := self.rfile.readline().strip():
                name, _, value = header.decode().partition(":")
                length = int(value) if name.lower() == "content-length" else length
            body = self.rfile.read(length)
            self.server.seen.append((f"{method} {target}", body))
            answer = self.server.answers[target.partition("?")[0]](body)
            if answer is None:
                return
            self.wfile.write(answer)
            if b"Connection: close" in answer:
                return


def _stall(body: bytes) -> bytes:
    threading.Event().wait(30)
    return b""


ANSWERS: dict[str, Callable[[bytes], bytes | None]] = {
    "/ok": lambda body: _whole(206, body, "X-Inngest-SDK: raw:v1"),
    "/chunked": lambda body: _head(200, "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n",
    "/zipped": lambda body: _whole(200, _ZIPPED, "Content-Encoding: gzip"),
    "/last": lambda body: _whole(200, b"bye", "Connection: close"),
    "/until-close": lambda body: _head(200, "Connection: close") + b"all of it",
    "/cut": lambda body: None,
    "/half": lambda body: _head(200, "Content-Length: 100", "Connection: close") + b"half",
    "/garbage": lambda body: b"not http at all\r\n\r\nConnection: close",
    "/huge": lambda body: (
        _head(200, f"Content-Length: {MAX_RESPONSE_BYTES + 1}", "Connection: close")
        + b"x" * (MAX_RESPONSE_BYTES + 1)
    ),
    "/parts": lambda body: _whole(200, b"--x", "Content-Type: multipart/mixed; boundary=x"),
    "//ok": lambda body: _whole(206, body),
    "/bomb": lambda body: _whole(200, _BOMB, "Content-Encoding: gzip"),
    "/bombs": lambda body: _whole(200, _HALVES * 3, "Content-Encoding: gzip"),
    "/moved": lambda body: _whole(307, b"", "Location: /ok?extra=1"),
    "/around": lambda body: _whole(307, b"", "Location: /around"),
    "/away": lambda body: _whole(302, b"", "Location: ftp://example.com/x"),
    "/nowhere": lambda body: _whole(302, b"", "Location: http://[::1/x"),
    "/stall": _stall,
}


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server((LOOPBACK, 0), _Handler) as made:
        made.answers, made.seen = ANSWERS, []
        threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture(params=[Transport, GreenletTransport])
def making(request: pytest.FixtureRequest) -> type[Transport]:
    found: type[Transport] = request.param
    return found


@pytest.fixture
def transport(making: type[Transport]) -> Iterator[Transport]:
    made = making(connections=2)
    yield made
    made.close()


def _post(transport: Transport, server: _Server, path: str, **more: Any) -> Any:
    url = f"http://{LOOPBACK}:{server.server_address[1]}{path}"
    return transport.send("POST", url, HEADERS, b'{"a":1}', **more)


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/ok?fnId=f&stepId=step", 206, b'{"a":1}'),
        ("//ok?fnId=f", 206, b'{"a":1}'),
        ("/chunked", 200, b"abc"),
        ("/parts", 200, b"--x"),
        ("/zipped", 200, b'{"zipped":true}'),
        ("/last", 200, b"bye"),
        ("/until-close", 200, b"all of it"),
        ("/moved?fnId=f", 206, b'{"a":1}'),
    ],
)
def test_whole_answers(
    transport: Transport, server: _Server, path: str, status: int, body: bytes
) -> None:
    for _ in range(2):
        reply = _post(transport, server, path)
        assert (reply.status, reply.body, reply.unreachable) == (status, body, None)
    assert all(sent == b'{"a":1}' for _, sent in server.seen)


@pytest.mark.parametrize("path", ["/cut", "/half", "/garbage", "/around", "/away", "/nowhere"])
def test_broken_answers_are_replies_and_the_request_is_sent_once(
    transport: Transport, server: _Server, path: str
) -> None:
    reply = _post(transport, server, path)
    assert reply.unreachable
    assert "0x" not in reply.unreachable
    if path != "/around":
        assert len(server.seen) == 1


@pytest.mark.parametrize("path", ["/huge", "/bomb", "/bombs"])
def test_an_answer_that_is_too_large_is_not_kept(
    transport: Transport, server: _Server, path: str
) -> None:
    reply = _post(transport, server, path)
    assert (reply.too_large, reply.body) == (True, b"")
    assert _post(transport, server, "/ok").status == 206


def test_a_call_ends_at_its_deadline(transport: Transport, server: _Server) -> None:
    for _ in range(3):  # more calls than connections: each connection must have been given back
        reply = _post(transport, server, "/stall", timeout=timedelta(seconds=0.1))
        assert reply.unreachable == "timed out"
    assert _post(transport, server, "/ok").status == 206


def test_connections_are_kept_and_a_dead_one_is_replaced(
    transport: Transport, server: _Server
) -> None:
    for _ in range(3):
        _post(transport, server, "/ok")
    assert server.connections == 1
    _post(transport, server, "/last")
    assert _post(transport, server, "/ok").status == 206
    assert server.connections == 2


def test_a_connection_that_was_idle_for_long_is_replaced(
    making: type[Transport], server: _Server
) -> None:
    transport = making(kept_seconds=0)
    for count in (1, 2, 3):
        assert _post(transport, server, "/ok").status == 206
        assert server.connections == count
    transport.close()


def test_port_where_nothing_listens(transport: Transport) -> None:
    url = f"http://user:hidden@{LOOPBACK}:{free_port()}/x?key=hidden"
    for method in ("POST", "PUT"):
        reply = transport.send(method, url, HEADERS, b"{}")
        assert (reply.unreachable, reply.is_connected) == ("connection refused", False)
        cause = down_cause(reply)
        assert cause == f"{url.replace('user:hidden@', '').partition('?')[0]}: connection refused"


def test_a_host_that_does_not_resolve_counts_as_down(transport: Transport) -> None:
    for method in ("POST", "PUT"):
        reply = transport.send(method, "http://nowhere.invalid/x", HEADERS, b"{}")
        assert down_cause(reply) == "http://nowhere.invalid/x: the host name does not resolve"


def test_a_host_that_does_not_take_connections_counts_as_down(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener whose queue is full lets nobody in."""
    for module in (greenlets, http):
        monkeypatch.setattr(module, "CONNECT_SECONDS", 0.2)
    with socket.socket() as full, socket.socket() as first:
        full.bind((LOOPBACK, 0))
        full.listen(0)
        first.connect(full.getsockname())
        url = f"http://{LOOPBACK}:{full.getsockname()[1]}/x"
        for method in ("POST", "PUT"):
            cause = down_cause(transport.send(method, url, HEADERS, b"{}"))
            assert cause == f"{url}: timed out connecting"


def test_an_error_of_the_system_is_told_in_its_words(caplog: pytest.LogCaptureFixture) -> None:
    url = "http://255.255.255.255/x"
    for transport in (GreenletTransport(), Transport()):
        reply = transport.send("POST", url, HEADERS, b"{}", timedelta(seconds=5))
        assert reply.unreachable == os.strerror(errno.ENETUNREACH)
        assert not reply.is_connected
    assert not caplog.records


def test_an_error_that_nobody_foresaw_is_logged_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gevent.socket, "getaddrinfo", lambda *_, **__: [])
    reply = GreenletTransport().send("POST", "http://app.test/x", HEADERS, b"{}")
    assert reply.unreachable == "RuntimeError"
    [line] = caplog.records
    assert (line.message, bool(line.exc_info)) == ("call.failed", True)


@pytest.mark.parametrize("url", ["http://", "http://[::1/x", "http://a b/x", "http://h:99999/x"])
def test_an_url_that_cannot_be_called(transport: Transport, url: str) -> None:
    assert transport.send("POST", url, HEADERS, b"{}").unreachable


def test_requests_are_valid_http(transport: Transport) -> None:
    with Provider() as asked:
        transport.send("POST", f"{asked.url}/a?b=1", HEADERS, b"{}")
        transport.send("GET", f"{asked.url}/ü x", {}, b"")
        transport.send("PUT", asked.url, {}, b"")
    post, get, put = asked.received
    assert (post.method, post.path, post.body) == ("POST", "/a?b=1", b"{}")
    assert post.headers["host"] == asked.url.removeprefix("http://")
    assert (post.headers["accept-encoding"], post.headers["content-length"]) == ("gzip", "2")
    assert (get.path, "content-length" in get.headers) == ("/%C3%BC%20x", False)
    assert put.headers["content-length"] == "0"


def test_a_header_that_would_end_early_is_not_sent(transport: Transport) -> None:
    with Provider() as asked:
        assert transport.send("POST", asked.url, {"X-A": "b\r\nX-C: d"}, b"{}").unreachable
        assert not asked.received


def test_an_answer_that_is_cut_says_so_and_what_had_begun(
    transport: Transport, server: _Server
) -> None:
    reply = _post(transport, server, "/half")
    assert (reply.status, reply.unreachable, down_cause(reply)) == (200, CUT_WHILE_READ, None)
    output = canonical.loads(read(reply, NOW).output)  # type: ignore[union-attr]
    told = "Your server reset the connection while we were reading the reply"
    assert told in output["error"]["stack"]


def test_tls_that_fails_says_why(transport: Transport, server: _Server) -> None:
    url = f"https://{LOOPBACK}:{server.server_address[1]}/ok"
    reply = transport.send("POST", url, {}, b"{}")
    assert (reply.unreachable or "").startswith("TLS failed")
    assert down_cause(reply)


def _change_addresses(monkeypatch: pytest.MonkeyPatch, name: str, *addresses: str) -> None:
    """Patch name resolution to give another address of the name each time."""
    given, real = iter(addresses), socket.getaddrinfo

    def look_up(host: Any, *more: Any, **options: Any) -> Any:
        return real(next(given) if host == name else host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(gevent.socket, "getaddrinfo", look_up)


def test_a_host_out_of_reach_is_not_connected_to(making: type[Transport], server: _Server) -> None:
    no_loopback = Reach(public_only=True)
    transport = making(refusal=no_loopback.refusal)
    for host in (LOOPBACK, "localhost", "[::ffff:127.0.0.1]", "2130706433", "0.0.0.0"):
        reply = transport.send("POST", f"http://{host}:{server.server_address[1]}/ok", {}, b"{}")
        assert "is in a private network (INNGEST_CALL_HOSTS)" in (reply.unreachable or "")
        assert host.strip("[]") in (reply.unreachable or "")
    assert server.connections == 0


def test_reach_is_asked_again_after_a_redirect_and_of_each_resolution(
    making: type[Transport], server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = (LOOPBACK, "169.254.169.254", "fd00:ec2::254", LOOPBACK)
    _change_addresses(monkeypatch, "app.test", *places)
    reach = Reach(metadata=False)
    transport = making(kept_seconds=0, refusal=reach.refusal)
    url = f"http://app.test:{server.server_address[1]}/ok"
    replies = [transport.send("POST", url, {}, b"{}") for _ in range(4)]
    assert [reply.status for reply in replies] == [206, 0, 0, 206]
    assert "app.test (169.254.169.254): it is a link-local" in (replies[1].unreachable or "")
    server.answers = server.answers | {
        "/lead": lambda body: _whole(307, b"", "Location: http://169.254.169.254/latest")
    }
    plain = making(refusal=reach.refusal)
    assert "169.254.169.254" in (_post(plain, server, "/lead").unreachable or "")
    for made in (transport, plain):
        made.close()
