"""A gateway with so many connections that idle ones are read together."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection

from inngest_py.api.gateway.resting import FEW
from inngest_py.domain.connect.messages_pb2 import GatewayMessageType as Kind
from inngest_py.domain.connect.messages_pb2 import SDKResponse, SDKResponseStatus
from tests.api.raw_workers import frame, next_message, ready
from tests.api.test_connect_renewals import begun, ended
from tests.api.test_connect_sockets import _state
from tests.processes import Server, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log: Path = tmp_path_factory.mktemp("resting") / "server.log"
    with Server("dev", "--in-memory", "--no-discovery", log=log) as server:
        yield server.start()


@pytest.fixture(scope="module")
def idle(server: Server) -> Iterator[list[ClientConnection]]:
    made = [ready(server, instance_id=f"idle-{number}") for number in range(FEW + 10)]
    yield made
    for one in made:
        one.close()


def test_heartbeats_are_answered(idle: list[ClientConnection]) -> None:
    for _ in range(3):
        for one in idle:
            one.send(frame(Kind.WORKER_HEARTBEAT))
        assert {next_message(one).kind for one in idle} == {Kind.GATEWAY_HEARTBEAT}


def test_calls_are_answered(server: Server, idle: list[ClientConnection]) -> None:
    for _ in range(3):
        made, asked, event_id = begun(server)
        status = SDKResponseStatus.DONE
        made.send(frame(Kind.WORKER_REPLY, SDKResponse(request_id=asked.request_id, status=status)))
        assert next_message(made).kind == Kind.WORKER_REPLY_ACK
        assert ended(server, event_id)["status"] == "Completed"
        made.close()


def test_one_that_pauses_or_goes_is_noticed(server: Server, idle: list[ClientConnection]) -> None:
    paused, gone = idle.pop(), idle.pop()
    paused.send(frame(Kind.WORKER_PAUSE))
    gone.close()
    wait_until(lambda: _state(server, f"idle-{FEW + 9}") == "draining", 10, "it has paused")
    wait_until(lambda: _state(server, f"idle-{FEW + 8}") == "gone", 10, "it is gone")
    paused.close()
