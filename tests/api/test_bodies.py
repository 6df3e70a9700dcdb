"""Bodies are limited by the bytes that are read, not by their announced length."""

import socket
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from inngest_py.api.bodies import LIMITS, MOST
from inngest_py.domain.limits import MAX_EVENT_BYTES
from inngest_py.domain.runs.rerun import from_step
from inngest_py.engine.admin.rerun import rerun
from inngest_py.storage.queue import load_runs
from tests.api.conftest import Service
from tests.factories import op, reply, step
from tests.processes import LOOPBACK, Server

PIECE = b" " * 65536
MIB = 1024 * 1024


class Endless:
    """A body without an end, as from a server that ends streams itself."""

    def __init__(self) -> None:
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "who reads without a bound never comes back"
        self.taken += size
        return b" " * size


def test_no_route_reads_an_endless_body(lasting: Service) -> None:
    for rule in lasting.app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) & {"POST", "PUT", "DELETE", "GET"}):
            body = Endless()
            url = lasting.app.url_map.bind("x").build(
                rule.endpoint, dict.fromkeys(rule.arguments, "01JD0000000000000000000000"), method
            )
            answer = lasting.client.open(
                url,
                method=method,
                content_type="application/json",
                headers={"Transfer-Encoding": "chunked"},
                environ_overrides={"wsgi.input": body, "wsgi.input_terminated": True},
            )
            most = LIMITS.get(rule.rule, MOST)
            assert body.taken <= most + len(PIECE), url
            if body.taken > most:
                assert answer.status_code == 413, url
                assert str(most) in answer.text, url
            assert answer.status_code < 500 or answer.status_code == 501, url


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A dev server as users start it."""
    log = tmp_path_factory.mktemp("bodies") / "server.log"
    with Server("dev", "--in-memory", "--no-discovery", "--no-poll", log=log) as made:
        yield made.start()


def chunked(server: Server, path: str, body: bytes, more: int = 0) -> tuple[int, bytes, bool]:
    """Send a body in chunks, then `more` bytes that never come to an end.

    Returns the answer's status and body, and whether the server closed the connection after it.
    """
    with socket.create_connection((LOOPBACK, server.port), timeout=60) as link:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        link.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        try:
            for start in range(0, len(body), len(PIECE)):
                piece = body[start : start + len(PIECE)]
                link.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            for _ in range(more // len(PIECE)):
                link.sendall(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
            if not more:
                link.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            assert more, "the server cut off an honest sender"
            return 0, b"", True
        return _answered(link)


def _answered(link: socket.socket) -> tuple[int, bytes, bool]:
    with link.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        length = 0
        while line := stream.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        body = stream.read(length)
    try:
        link.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        is_closed = link.recv(1) == b""
    except (BrokenPipeError, ConnectionResetError):
        is_closed = True
    return status, body, is_closed


def large(size: int, **around: Any) -> bytes:
    """Write an object whose text makes it this large."""
    return orjson.dumps({"name": "a/b", **around, "data": {"text": "x" * size}})


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("/invoke/nobody", large(21 * MIB), 413, "the body is over 4194304 bytes"),
        ("/invoke/nobody", large(MAX_EVENT_BYTES), 400, "Event is over the max size: Max 3145728"),
        ("/e/key", large(MAX_EVENT_BYTES), 400, "Event is over the max size: Max 3145728"),
        ("/v2/events", large(21 * MIB), 413, "the body is over 4194304 bytes"),
        ("/v2/events", large(MAX_EVENT_BYTES), 400, "Event is over the max size: Max 3145728"),
        ("/v0/gql", large(5 * MIB), 413, "the body is over 4194304 bytes"),
        ("/fn/register", large(17 * MIB), 413, "the body is over 16777216 bytes"),
        ("/v1/checkpoint", large(9 * MIB), 413, "the body is over 8388608 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_chunked_bodies_have_the_same_limit(
    server: Server, path: str, body: bytes, status: int, told: str
) -> None:
    answered, text, is_closed = chunked(server, path, body)
    assert (answered, is_closed) == (status, False), text
    assert told in text.decode()


def test_chunks_within_the_bound_are_read(server: Server) -> None:
    status, text, is_closed = chunked(server, "/e/key", large(2 * MIB))
    assert (status, is_closed) == (200, False), text


@pytest.mark.parametrize("path", ["/invoke/nobody", "/nowhere", "/health"])
def test_sender_that_never_ends_is_cut_off(server: Server, path: str) -> None:
    _, _, is_closed = chunked(server, path, b"", more=160 * MIB)
    assert is_closed
    assert server.healthy


def test_bad_chunks_end_the_connection(server: Server) -> None:
    with socket.create_connection((LOOPBACK, server.port), timeout=60) as link:
        head = b"POST /invoke/nobody HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        link.sendall(head + b"zz\r\n{}\r\n0\r\n\r\n")
        status, _, is_closed = _answered(link)
    assert status == 400
    assert is_closed


def test_state_is_counted_in_bytes(service: Service) -> None:
    engine, text = service.engine, "ä" * 1000

    def script(request: dict[str, Any], target: str) -> Any:
        missing = [name for name in ("a", "b") if step(name) not in request["steps"]]
        if not missing:
            return reply(200, "done")
        return reply(206, [op("StepRun", missing[0], data=text)])

    engine.sdk.script = script
    run_id = engine.start()
    engine.drain()
    one = len(orjson.dumps({"data": text}))
    assert one > 2000
    assert _state_bytes(service, run_id) == 2 * one
    again = rerun(engine.ctx, run_id, from_step(step("b"), None))
    assert _state_bytes(service, again) == one
    engine.drain()
    assert _state_bytes(service, again) == 2 * one


def _state_bytes(service: Service, run_id: str) -> int:
    with service.engine.ctx.db.reading() as tx:
        return load_runs.load(tx, [run_id])[run_id][0].state_bytes
