"""What workers may make a gateway keep: who sends more is not read until there is room."""

import secrets
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import State
from websockets.uri import parse_uri

from inngest_py.api.gateway.load import Load
from inngest_py.api.gateway.session import Session
from inngest_py.api.gateway.websocket import WebSocket
from inngest_py.domain.access import tokens
from inngest_py.domain.connect.messages_pb2 import (
    ConnectMessage,
    SDKResponse,
    StartResponse,
    WorkerReplyAckData,
    WorkerRequestExtendLeaseAckData,
    WorkerRequestExtendLeaseData,
)
from inngest_py.domain.connect.messages_pb2 import GatewayMessageType as Kind
from inngest_py.domain.values import ids
from inngest_py.storage.db.session import Database
from tests.api.raw_workers import frame, hello
from tests.engine.harness import Engine, sequence
from tests.processes import wait_until

SECRETS = tokens.secrets(())
SIZE, MOST = 50_000, 500_000
MANY = 100


class Worker:
    """A worker at one end of a socket whose other end has a session of the gateway."""

    def __init__(self, engine: Engine, kept: Load) -> None:
        self._far, self._near = socket.socketpair()
        self._protocol = ClientProtocol(parse_uri("ws://x/"), state=State.OPEN, max_size=None)
        self._arrived: list[ConnectMessage] = []
        self._near.settimeout(30)
        self.session = Session(engine.ctx, WebSocket(self._far, {}, 2**23), SECRETS, kept)
        self._serving = threading.Thread(target=self.session.run, daemon=True)
        self._serving.start()
        assert self.next().kind == Kind.GATEWAY_HELLO

    def introduced(self, capacity: int, **changed: object) -> Self:
        """Say hello, and wait until the gateway is ready."""
        connection = ids.ulid(0, secrets.token_bytes(10))
        token = tokens.connect_session(connection, SECRETS[0], int(datetime.now(UTC).timestamp()))
        started = StartResponse(connection_id=connection, session_token=token)
        self.send(hello(started, max_worker_concurrency=capacity, **changed))
        assert self.next().kind == Kind.GATEWAY_CONNECTION_READY
        return self

    def send(self, data: bytes) -> None:
        """Send a message; waits while the gateway reads nothing."""
        self._protocol.send_binary(data)
        self._flush()

    def begin(self) -> None:
        """Begin a message of many parts."""
        self._protocol.send_binary(b"x" * SIZE, fin=False)
        self._flush()

    def go_on(self) -> None:
        """Send one more part, whether or not the gateway has closed."""
        self._near.sendall(b"\x00\xfe" + SIZE.to_bytes(2, "big") + b"\0" * 4 + b"x" * SIZE)

    def _flush(self) -> None:
        for part in self._protocol.data_to_send():
            self._near.sendall(part)

    def _receive(self) -> list[Frame]:
        self._protocol.receive_data(self._near.recv(2**16))
        return [one for one in self._protocol.events_received() if isinstance(one, Frame)]

    def next(self) -> ConnectMessage:
        """Wait for the next message."""
        while not self._arrived:
            self._arrived += [ConnectMessage.FromString(bytes(one.data)) for one in self._receive()]
        return self._arrived.pop(0)

    def closed(self) -> str:
        """Wait for the gateway's close frame; return its reason."""
        while self._protocol.close_rcvd is None:
            self._receive()
        return self._protocol.close_rcvd.reason

    def close(self) -> None:
        """Close the socket, and wait until the gateway has noticed."""
        self._near.close()
        self._serving.join(30)
        self._far.close()


def request_id() -> str:
    """Name a request that no call of this process waits for."""
    item, lease = (ids.ulid(0, secrets.token_bytes(10)) for _ in range(2))
    return f"{item}-1-{lease}"


def answer() -> bytes:
    """Write a late answer."""
    return frame(Kind.WORKER_REPLY, SDKResponse(request_id=request_id(), body=b"x" * SIZE))


def extension() -> bytes:
    """Write that a worker goes on with a request."""
    asked = WorkerRequestExtendLeaseData(request_id=request_id(), lease_id="x")
    return frame(Kind.WORKER_REQUEST_EXTEND_LEASE, asked)


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("write", "capacity", "most", "told"),
    [
        (answer, 1000, MOST // SIZE, WorkerReplyAckData),
        (extension, 1, 2 * 1 + 16, WorkerRequestExtendLeaseAckData),
    ],
)
def test_a_worker_waits_while_too_much_of_it_is_kept(
    db: Database,
    write: Callable[[], bytes],
    capacity: int,
    most: int,
    told: type[WorkerReplyAckData | WorkerRequestExtendLeaseAckData],
) -> None:
    """The database is busy: answers are bounded by their sizes, other frames by their number."""
    engine, kept = Engine(db, sequence()), Load(most_unstored=MOST)
    engine.ctx.clock = lambda: datetime.now(UTC)
    worker, other = (Worker(engine, kept).introduced(capacity) for _ in range(2))
    heard = worker.session.machine.last_heartbeat
    with db.transaction():
        sending = threading.Thread(target=lambda: [worker.send(write()) for _ in range(MANY)])
        sending.start()
        # the heartbeat of one that has to wait moves, so that it does not count as silent
        wait_until(
            lambda: worker.session._tasks == MANY or worker.session.machine.last_heartbeat != heard,
            30,
            "the worker to wait, or all that it sends to be read",
        )
        assert worker.session._tasks <= most
        assert kept.unstored <= MOST
        other.send(frame(Kind.WORKER_HEARTBEAT))
        assert other.next().kind == Kind.GATEWAY_HEARTBEAT
    assert len({told.FromString(worker.next().payload).request_id for _ in range(MANY)}) == MANY
    sending.join(30)
    wait_until(lambda: not kept.unstored, 30, "nothing to be kept")
    for one in (worker, other):
        one.close()


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
def test_unknown_senders_are_closed_once_they_fill_too_much(db: Database) -> None:
    """And what they go on to send is not kept."""
    engine, kept = Engine(db, sequence()), Load(most_greeting=2 * SIZE)
    first, second = (Worker(engine, kept) for _ in range(2))
    first.begin()
    wait_until(lambda: kept.greeting == SIZE, 30, "what has come to be counted")
    second.begin()
    second.go_on()
    assert second.closed() == "MESSAGE_TOO_LARGE"
    for _ in range(MANY):
        second.go_on()
    assert second.session._socket.unread < SIZE
    second.close()
    wait_until(lambda: kept.greeting == SIZE, 30, "the other one's alone to be counted")
    first.close()
    assert kept.greeting == 0
