"""Answers of connected workers: acknowledgements that they have not got, and sizes."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import requests
from websockets.sync.client import ClientConnection

from inngest_py.domain.connect.messages_pb2 import (
    AppConfiguration,
    GatewayExecutorRequestData,
    SDKResponse,
    SDKResponseStatus,
    WorkerReplyAckData,
    WorkerRequestAckData,
    WorkerRequestExtendLeaseAckData,
    WorkerRequestExtendLeaseData,
)
from inngest_py.domain.connect.messages_pb2 import GatewayMessageType as Kind
from inngest_py.domain.limits import MAX_RESPONSE_BYTES
from tests.api.raw_workers import closed, frame, next_message, ready
from tests.processes import Server, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    args = ("--in-memory", "--no-discovery")
    log = tmp_path_factory.mktemp("server") / "server.log"
    with Server("dev", *args, log=log) as server:
        yield server.start()


FUNCTION = {
    "id": "renewed-fn",
    "name": "fn",
    "triggers": [{"event": "renewed/go"}],
    "steps": {
        "step": {
            "id": "step",
            "name": "step",
            "retries": {"attempts": 0},
            "runtime": {"type": "ws", "url": "ws://connect?fnId=renewed-fn&step=step"},
        }
    },
}


def begun(server: Server) -> tuple[ClientConnection, GatewayExecutorRequestData, str]:
    """Connect a worker, and let it have the request of a run; return its event's id as well."""
    apps = [AppConfiguration(app_name="renewed", functions=orjson.dumps([FUNCTION]))]
    made = ready(server, apps=apps)
    sent = requests.post(f"{server.url}/e/key", json={"name": "renewed/go"}, timeout=10)
    asked = GatewayExecutorRequestData.FromString(next_message(made).payload)
    ack = WorkerRequestAckData(request_id=asked.request_id)
    made.send(frame(Kind.WORKER_REQUEST_ACK, ack))
    return made, asked, sent.json()["ids"][0]


def ended(server: Server, event_id: str) -> dict[str, Any]:
    """Wait for the end of the event's run."""
    url = f"{server.url}/v1/events/{event_id}/runs"

    def found() -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = requests.get(url, timeout=10).json()["data"]
        return [run for run in runs if run["ended_at"]]

    return wait_until(found, 20, "the run ended")[0]


def test_a_lease_is_renewed_and_an_answer_taken_again_when_their_acknowledgements_are_lost(
    server: Server,
) -> None:
    """A worker that has not heard of its new lease asks again with the old one."""
    made, asked, event_id = begun(server)
    name = asked.request_id
    extension = WorkerRequestExtendLeaseData(request_id=name, lease_id=asked.lease_id)
    for _ in range(2):
        made.send(frame(Kind.WORKER_REQUEST_EXTEND_LEASE, extension))
        told = WorkerRequestExtendLeaseAckData.FromString(next_message(made).payload)
        assert (told.request_id, told.HasField("new_lease_id")) == (name, True)
    answer = SDKResponse(request_id=name, status=SDKResponseStatus.DONE, body=b'"done"')
    for _ in range(2):
        made.send(frame(Kind.WORKER_REPLY, answer))
        assert WorkerReplyAckData.FromString(next_message(made).payload).request_id == name
    run = ended(server, event_id)
    assert (run["status"], run["output"]) == ("Completed", "done")
    made.close()


def test_an_answer_may_be_no_larger_than_over_http(server: Server) -> None:
    """It comes by a flush: over the connection, its message would be over the limit."""
    made, asked, event_id = begun(server)
    body = b'"' + b"x" * MAX_RESPONSE_BYTES + b'"'
    answer = SDKResponse(request_id=asked.request_id, status=SDKResponseStatus.DONE, body=body)
    data = answer.SerializeToString()
    assert requests.post(f"{server.url}/v0/connect/flush", data=data, timeout=10).ok
    run = ended(server, event_id)
    assert run["status"] == "Failed"
    assert run["output"]["error"]["name"] == "output_too_large"
    made.close()


def test_an_answer_in_too_large_a_message_ends_its_call(server: Server) -> None:
    """The worker has no other way to hear of it: it would send as much again."""
    made, asked, event_id = begun(server)
    body = b'"' + b"x" * (MAX_RESPONSE_BYTES + 1) + b'"'
    answer = SDKResponse(request_id=asked.request_id, status=SDKResponseStatus.DONE, body=body)
    made.send(frame(Kind.WORKER_REPLY, answer))
    assert closed(made) == (1009, "MESSAGE_TOO_LARGE")
    run = ended(server, event_id)
    assert (run["status"], run["output"]["error"]["name"]) == ("Failed", "output_too_large")
