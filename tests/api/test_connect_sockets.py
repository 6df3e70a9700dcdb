"""Workers that behave badly at the gateway: they get the documented close code, others go on."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
from click.testing import CliRunner
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from inngest_py.cli import cli
from inngest_py.domain.connect.messages_pb2 import (
    AppConfiguration,
    AuthData,
    FlushResponse,
    SDKResponse,
    StartRequest,
    StartResponse,
    WorkerReplyAckData,
    WorkerRequestExtendLeaseAckData,
    WorkerRequestExtendLeaseData,
)
from inngest_py.domain.connect.messages_pb2 import GatewayMessageType as Kind
from tests.api.raw_workers import (
    PROTOCOL,
    ask_to_start,
    closed,
    frame,
    greeted,
    hello,
    next_message,
    ready,
)
from tests.processes import LOOPBACK, Server, free_port, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    port = str(free_port())
    args = ("--in-memory", "--no-discovery", "--connect-port", port)
    with Server("dev", *args, log=folder / "server.log") as server:
        yield server.start()


def test_start_names_the_host_by_which_the_worker_came(server: Server) -> None:
    started = ask_to_start(server, StartRequest(exclude_gateways=["gw"]).SerializeToString())
    assert started.gateway_endpoint.startswith(f"ws://{LOOPBACK}:")
    assert started.gateway_endpoint.endswith("/v0/connect")
    assert started.gateway_group == "gw-dev"
    assert started.sync_token
    headers = {"Host": f"gateway.example:{server.port}"}
    reply = requests.post(f"{server.url}/v0/connect/start", headers=headers, timeout=10)
    endpoint = StartResponse.FromString(reply.content).gateway_endpoint
    assert endpoint.startswith("ws://gateway.example:")
    reply = requests.post(f"{server.url}/v0/connect/start", data=b"\xff\xff", timeout=10)
    assert reply.status_code == 400


def test_the_api_port_takes_workers_too(server: Server) -> None:
    url = f"ws://{LOOPBACK}:{server.port}/v0/connect"
    with connect(url, subprotocols=[PROTOCOL]) as made:
        assert made.subprotocol == PROTOCOL
        assert made.recv(5) in (b"", b"\x12\x00")


def test_without_the_subprotocol_there_is_no_connection(server: Server) -> None:
    with pytest.raises(InvalidStatus) as found:
        connect(ask_to_start(server).gateway_endpoint)
    assert found.value.response.status_code == 400


def test_what_is_no_websocket_is_refused(server: Server) -> None:
    url = ask_to_start(server).gateway_endpoint.replace("ws://", "http://")
    assert requests.get(url, timeout=5).status_code == 404
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    assert requests.get(url, headers=upgrade, timeout=5).status_code in (400, 426)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (frame(Kind.WORKER_READY), "connect_worker_hello_invalid_msg"),
        (b"\xff\xff", "connect_worker_hello_invalid_payload"),
        ("text", "connect_worker_hello_invalid_msg"),
    ],
)
def test_a_bad_first_message(server: Server, data: bytes | str, reason: str) -> None:
    _, made = greeted(server)
    made.send(data)
    assert closed(made) == (1008, reason)


def test_no_hello_in_time(server: Server) -> None:
    many = [greeted(server)[1] for _ in range(20)]
    other = ready(server)
    assert {closed(made) for made in many} == {(1008, "connect_worker_hello_timeout")}
    other.send(frame(Kind.WORKER_HEARTBEAT))
    assert next_message(other).kind == Kind.GATEWAY_HEARTBEAT
    other.close()


def test_a_token_of_another_connection(server: Server) -> None:
    started, made = greeted(server)
    token = AuthData(session_token=ask_to_start(server).session_token)
    made.send(hello(started, auth_data=token))
    assert closed(made) == (1008, "connect_authentication_failed")


def test_a_bad_function_is_explained(server: Server) -> None:
    started, made = greeted(server)
    functions = orjson.dumps([{"id": "raw-x", "name": "x", "triggers": [{}], "steps": {}}])
    made.send(hello(started, apps=[AppConfiguration(app_name="raw", functions=functions)]))
    assert next_message(made).kind == Kind.SYNC_FAILED
    assert closed(made)[0] == 1008


def test_a_message_over_the_limit(server: Server) -> None:
    made = ready(server)
    made.send(b"\x00" * (8 * 1024 * 1024 + 1))
    assert closed(made) == (1009, "MESSAGE_TOO_LARGE")


def test_a_frame_that_is_none(server: Server) -> None:
    started = ask_to_start(server)
    host, _, port = started.gateway_endpoint.removeprefix("ws://").partition("/")[0].partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        raw.sendall(
            b"GET /v0/connect HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: v0.connect.inngest.com\r\n\r\n"
        )
        assert b"101" in raw.recv(4096)
        raw.sendall(b"\xff" * 64)
        raw.settimeout(5)
        while raw.recv(4096):
            pass
    ready(server).close()  # others go on


def test_an_unknown_request_is_refused_or_acknowledged(server: Server) -> None:
    made = ready(server)
    unknown = "01J00000000000000000000000-1-01J00000000000000000000000"
    for name in ("nonsense", unknown):
        made.send(
            frame(
                Kind.WORKER_REQUEST_EXTEND_LEASE,
                WorkerRequestExtendLeaseData(request_id=name, lease_id="x"),
            )
        )
        refused = next_message(made)
        assert refused.kind == Kind.WORKER_REQUEST_EXTEND_LEASE_ACK
        told = WorkerRequestExtendLeaseAckData.FromString(refused.payload)
        assert (told.request_id, told.HasField("new_lease_id")) == (name, False)
        made.send(frame(Kind.WORKER_REPLY, SDKResponse(request_id=name)))
        acked = next_message(made)
        assert WorkerReplyAckData.FromString(acked.payload).request_id == name
        body = SDKResponse(request_id=name).SerializeToString()
        reply = requests.post(f"{server.url}/v0/connect/flush", data=body, timeout=10)
        assert FlushResponse.FromString(reply.content).request_id == name
    made.close()


def test_a_bad_flush(server: Server) -> None:
    for body in (b"", b"\xff\xff"):
        reply = requests.post(f"{server.url}/v0/connect/flush", data=body, timeout=10)
        assert reply.status_code == 400


def _worker(server: Server, instance: str) -> dict[str, Any] | None:
    """The newest connection of a worker, also if it has ended."""
    url = f"{server.url}/api/v1/connections?gone=true"
    found = requests.get(url, timeout=5).json()["data"]
    return next((one for one in found if one["instance"] == instance), None)


def _state(server: Server, instance: str) -> str:
    one = _worker(server, instance)
    return "" if one is None else str(one["status"])


def test_a_drained_worker_stays_so_until_it_shuts_down(server: Server) -> None:
    def connect_again() -> ClientConnection:
        return ready(server, instance_id="drains")

    made = connect_again()
    wait_until(lambda: _state(server, "drains") == "ready", 5, "the worker is ready")
    one = _worker(server, "drains")
    assert one is not None
    url = ["--url", server.url]
    listed = CliRunner().invoke(cli, ["connections", "list", "--app", "raw", *url])
    assert one["id"] in listed.output, listed.output
    told = CliRunner().invoke(cli, ["connections", "drain", one["id"], *url])
    assert "drains is drained" in told.output, told.output
    unknown = CliRunner().invoke(cli, ["connections", "resume", "nobody", *url])
    assert unknown.exit_code == 1 and "no worker has the connection" in unknown.output
    wait_until(lambda: _state(server, "drains") == "draining", 5, "it is drained")
    made.close()
    wait_until(lambda: _state(server, "drains") == "gone", 5, "it has gone")
    made = connect_again()
    wait_until(lambda: _state(server, "drains") == "draining", 5, "it is drained still")
    made.close(1000, "WORKER_SHUTDOWN")
    wait_until(lambda: _state(server, "drains") == "gone", 5, "it has shut down")
    gone = _worker(server, "drains")
    assert gone is not None and gone["close_reason"] == "WORKER_SHUTDOWN"
    made = connect_again()
    wait_until(lambda: _state(server, "drains") == "ready", 5, "the next one works")
    made.close()


def test_a_closed_connection_is_gone(server: Server) -> None:
    url = f"{server.url}/v0/connect/envs/dev/conns"

    def connections() -> set[str]:
        return {one["instance_id"] for one in requests.get(url, timeout=5).json()["data"]}

    made = ready(server, instance_id="goes")
    wait_until(lambda: "goes" in connections(), 5, "the connection is shown")
    made.close()
    wait_until(lambda: "goes" not in connections(), 5, "the connection is gone")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Server]:
    """A server that takes few connections."""
    args = ("--in-memory", "--no-discovery", "--connect-max-connections", "2")
    with Server("dev", *args, log=tmp_path / "server.log") as server:
        yield server.start()


def test_a_full_server_refuses_workers_and_says_why(small: Server) -> None:
    started = ask_to_start(small)
    made = [ready(small, instance_id=f"worker-{number}") for number in range(2)]
    reply = requests.post(f"{small.url}/v0/connect/start", timeout=10)
    assert reply.status_code == 429
    assert "INNGEST_CONNECT_MAX_CONNECTIONS" in reply.json()["error"]
    with pytest.raises(InvalidStatus) as refused:
        connect(started.gateway_endpoint, subprotocols=[PROTOCOL]).__enter__()
    assert refused.value.response.status_code == 429
    made.pop().close()

    def takes_more() -> bool:
        return requests.post(f"{small.url}/v0/connect/start", timeout=10).ok

    wait_until(takes_more, 10, "a place is free")
    made.append(ready(small))
    for one in made:
        one.close()


def _memory(server: Server) -> int:
    """The server's memory in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    (line,) = [one for one in status.splitlines() if one.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


def _raw(server: Server) -> socket.socket:
    """A WebSocket of which nothing is read."""
    made = socket.create_connection((LOOPBACK, server.port), timeout=20)
    made.sendall(
        b"GET /v0/connect HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: v0.connect.inngest.com\r\n\r\n"
    )
    return made


def test_a_thousand_sockets_without_a_hello_cost_little(server: Server) -> None:
    """They are closed after five seconds, and nobody else notices."""
    before = _memory(server)
    made = [_raw(server) for _ in range(1000)]
    ready(server).close()
    for one in made[::100]:
        assert b"101" in one.recv(4096).splitlines()[0]
    assert _memory(server) - before < 100 * 2**20
    for one in made:
        received = b"".join(iter(lambda one=one: one.recv(4096), b""))  # type: ignore[misc]
        assert b"connect_worker_hello_timeout" in received
        one.close()
    ready(server).close()


def _masked(payload: bytes, *, size: int | None = None) -> bytes:
    """A binary frame of a client, with the key 0; `size` announces more than there is."""
    length = len(payload) if size is None else size
    head = bytes([128 + length]) if length < 126 else b"\xff" + length.to_bytes(8, "big")
    return b"\x82" + head + b"\0\0\0\0" + payload


def test_unknown_senders_may_fill_little_memory(server: Server) -> None:
    """Eight MiB each would be a gigabyte."""
    before, part = _memory(server), b"x" * 2**20
    made = []
    for _ in range(128):
        one = _raw(server)
        made.append(one)
        assert b"101" in one.recv(4096)  # what comes before is no frame
        with suppress(OSError):  # it was closed meanwhile
            for number in range(7):
                one.sendall(_masked(part, size=8 * len(part)) if not number else part)
    assert _memory(server) - before < 300 * 2**20
    for one in made:
        one.close()
    ready(server).close()


def test_a_flood_of_frames_slows_its_sender_alone(server: Server) -> None:
    """A worker sends small frames without end, and reads what they are answered with."""
    flooding = ready(server, instance_id="floods", max_worker_concurrency=1)
    extend = frame(
        Kind.WORKER_REQUEST_EXTEND_LEASE,
        WorkerRequestExtendLeaseData(request_id="nonsense", lease_id="x"),
    )
    frames = (_masked(frame(Kind.WORKER_HEARTBEAT)) * 9 + _masked(extend)) * 200
    raw, over = flooding.socket, threading.Event()

    def until_over(act: Callable[[], object]) -> None:
        with suppress(OSError):
            while not over.is_set():
                act()

    acts: list[Callable[[], object]] = [lambda: raw.sendall(frames), lambda: raw.recv(2**16)]
    threads = [threading.Thread(target=until_over, args=(act,), daemon=True) for act in acts]
    before = _memory(server)
    for one in threads:
        one.start()
    seconds = []
    for _ in range(4):
        begun = time.monotonic()
        ready(server, instance_id="other").close()
        seconds.append(time.monotonic() - begun)
    assert min(seconds) < 3
    assert _memory(server) - before < 100 * 2**20
    assert _state(server, "floods") == "ready"
    over.set()
    raw.close()
