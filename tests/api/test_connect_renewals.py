"""Acknowledgements that a connected worker has not got: it asks again."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import requests

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
from tests.api.raw_workers import frame, next_message, ready
from tests.processes import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    args = ("--in-memory", "--no-discovery")
    with Server("dev", *args, log=tmp_path / "server.log") as server:
        yield server.start()


FUNCTION = {
    "id": "renewed-fn",
    "name": "fn",
    "triggers": [{"event": "renewed/go"}],
    "steps": {
        "step": {
            "id": "step",
            "name": "step",
            "runtime": {"type": "ws", "url": "ws://connect?fnId=renewed-fn&step=step"},
        }
    },
}


def test_a_lease_is_renewed_and_an_answer_taken_again_when_their_acknowledgements_are_lost(
    server: Server,
) -> None:
    """A worker that has not heard of its new lease asks again with the old one."""
    apps = [AppConfiguration(app_name="renewed", functions=orjson.dumps([FUNCTION]))]
    made = ready(server, apps=apps)
    sent = requests.post(f"{server.url}/e/key", json={"name": "renewed/go"}, timeout=10)
    (event_id,) = sent.json()["ids"]
    asked = GatewayExecutorRequestData.FromString(next_message(made).payload)
    name = asked.request_id
    made.send(frame(Kind.WORKER_REQUEST_ACK, WorkerRequestAckData(request_id=name)))
    extension = WorkerRequestExtendLeaseData(request_id=name, lease_id=asked.lease_id)
    for _ in range(2):
        made.send(frame(Kind.WORKER_REQUEST_EXTEND_LEASE, extension))
        told = WorkerRequestExtendLeaseAckData.FromString(next_message(made).payload)
        assert (told.request_id, told.HasField("new_lease_id")) == (name, True)
    answer = SDKResponse(request_id=name, status=SDKResponseStatus.DONE, body=b'"done"')
    for _ in range(2):
        made.send(frame(Kind.WORKER_REPLY, answer))
        assert WorkerReplyAckData.FromString(next_message(made).payload).request_id == name
    url = f"{server.url}/v1/events/{event_id}/runs"
    (run,) = requests.get(url, timeout=10).json()["data"]
    assert (run["status"], run["output"]) == ("Completed", "done")
    made.close()
