"""The routes of /v1 except reading: cancellations, metadata, metrics, telemetry."""

import json
import threading
from datetime import timedelta
from typing import Any

import pytest

from tests.api.conftest import Service
from tests.factories import RUN_ID, reply, step


def test_bulk_cancellation(service: Service) -> None:
    engine = service.engine
    run_id = engine.start(data={"n": 1})
    other = engine.start(data={"n": 2})
    before = (engine.now + timedelta(seconds=1)).isoformat()
    engine.now += timedelta(seconds=2)
    body = {"app_id": "app", "function_id": "fn", "started_before": before}
    made = service.client.post("/v1/cancellations", json=body | {"if": "event.data.n == 1"})
    assert made.status_code == 200
    shown = made.json["data"]
    assert shown["kind"] == "bulk_run"
    assert shown["cause"] == "API"
    assert (shown["app_id"], shown["function_id"]) == ("app", "app-fn")
    assert shown["cancelled"] == 1
    assert service.client.get("/v1/cancellations").json["data"] == [shown]
    assert engine.run(run_id)["status"] == "cancelled"
    assert engine.run(other)["status"] == "queued"
    url = f"/v1/cancellations/{shown['id']}"
    assert service.client.delete(url).json == {"ok": True}
    assert service.client.delete(url).status_code == 404
    assert service.client.get("/v1/cancellations").json["data"] == []
    refused = service.client.post("/v1/cancellations", json=body | {"started_before": None})
    assert refused.status_code == 400
    assert refused.json["data"] == {"field": "started_before"}
    unknown = service.client.post("/v1/cancellations", json=body | {"app_id": "none"})
    assert (unknown.status_code, unknown.json["error"]) == (404, "function not found")


def test_metadata(service: Service) -> None:
    run_id = service.engine.start()
    url = f"/v1/runs/{run_id}/metadata"

    def post(values: Any, **more: Any) -> int:
        entry = {"kind": "userland.note", "op": "add", "values": values}
        return service.client.post(url, json={"metadata": [entry]} | more).status_code

    threads = [threading.Thread(target=post, args=({"n": 1},)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert post({"x": "y"}, target={"step_id": "one", "step_attempt": 0}) == 200
    root = service.client.get(f"/v2/runs/{run_id}/trace").json["data"]["rootSpan"]
    (told,) = root["metadata"]
    assert told.pop("updatedAt")
    assert told == {"scope": "RUN", "kind": "userland.note", "values": {"n": 8}}
    assert post({"big": "x" * 70_000}) == 413
    for n in range(16):
        assert post({"big": "x" * 65_000}, target={"span_id": f"s{n}"}) == 200
    assert post({"big": "x" * 65_000}, target={"span_id": "last"}) == 413
    body = {"metadata": [{"kind": "k", "values": {"a": 1}}]}
    assert service.client.post(f"/v1/runs/{RUN_ID}/metadata", json=body).status_code == 404
    assert service.client.post("/v1/runs/x/metadata", json=body).status_code == 400


def test_metrics(service: Service) -> None:
    service.engine.start()
    answered = service.client.get("/v1/prom/any")
    assert answered.mimetype == "text/plain"
    assert 'inngest_runs{status="queued"} 1.0\n' in answered.text
    assert '\ninngest_queue_due{kind="start"} 1.0\n' in answered.text


SENT = [
    {"code": "c", "message": "m", "name": "E", "stack": None},
    {"error": {"message": "m", "name": "E"}},
    "went wrong",
]


@pytest.mark.parametrize("sent", SENT)
def test_the_output_of_a_failed_run_is_what_was_sent(service: Service, sent: Any) -> None:
    engine = service.engine
    engine.sdk.script = lambda *_: reply(500, sent, x_inngest_no_retry="true")
    run_id = engine.start()
    engine.drain()
    assert service.client.get(f"/v1/runs/{run_id}").json["data"]["output"] == sent
    query = f'{{ run(runID: "{run_id}") {{ output }} }}'
    shown = service.client.post("/v0/gql", json={"query": query}).json["data"]["run"]["output"]
    assert json.loads(shown) == sent


@pytest.mark.parametrize(
    "path",
    ["/v1/traces/userland", "/dev/traces", "/dev/logs", "/dev/metrics", "/v0/telemetry"],
)
def test_telemetry(lasting: Service, path: str) -> None:
    def post(data: bytes, content_type: str) -> int:
        return lasting.client.post(path, data=data, content_type=content_type).status_code

    assert post(b'{"resourceSpans":[]}', "application/json") == 200
    assert post(b"\x0a\x00\xff", "application/x-protobuf") == 200
    assert post(b"{", "application/json") == 400
    assert post(b"5", "application/json") == 400
    assert post(b" " * (8 * 1024 * 1024 + 1), "application/x-protobuf") == 413


def test_the_state_of_a_rerun_holds_its_new_input(service: Service) -> None:
    engine = service.engine
    run_id = engine.start()
    engine.drain()
    body = {"fromStep": {"stepId": "two", "input": [1]}}
    new = service.client.post(f"/v2/runs/{run_id}/rerun", json=body).json["data"]["runId"]
    actions = service.client.get(f"/v0/runs/{new}/actions").json
    assert actions == {step("one"): {"data": 0}, step("two"): {"input": [1]}}
