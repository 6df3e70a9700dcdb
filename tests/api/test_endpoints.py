"""`/v1/checkpoint` for durable endpoints: begin, append, the background, the result."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from inngest_py.api.protocol import durable_endpoints
from inngest_py.domain.access import signatures
from inngest_py.domain.reply.read import Reply
from inngest_py.engine.work.durable_endpoint import SILENCE
from inngest_py.storage.queries import run_lookups
from inngest_py.storage.queue import leases
from tests.factories import op, reply, step

from .conftest import Service

RUN = "01JD0000000000000000000005"
EVENT = {
    "name": "inngest/http.request",
    "data": {"domain": "http://localhost:1", "method": "GET", "path": "/o", "query_params": "a=1"},
}
COMPLETE = {"op": "SyncRunComplete", "id": step("complete")}
RESULT = {"data": {"status_code": 201, "headers": {"X-A": "b"}, "body": "made"}}


def begin(service: Service, *steps: dict[str, Any], **changes: Any) -> Any:
    body = {"run_id": RUN, "event": EVENT, "steps": list(steps), "request_version": 2}
    return service.client.post("/v1/checkpoint", json=body | changes)


def add(service: Service, *steps: dict[str, Any]) -> Any:
    body = {"run_id": RUN, "steps": list(steps)}
    return service.client.post(f"/v1/http/runs/{RUN}/steps", json=body)


def ran(name: str) -> dict[str, Any]:
    return op("StepRun", name, data=name)


@pytest.fixture
def calls(service: Service) -> Iterator[list[Any]]:
    """The requests that reach the endpoint again; it plans its next step and then ends."""
    made: list[Any] = []

    def send(method: str, url: str, headers: Any, body: bytes, timeout: Any = None) -> Reply:
        made.append((method, url, headers, body))
        if headers.get("X-Inngest-Step-ID") == step("last"):
            return reply(206, [ran("last")], x_inngest_req_version="2")
        if step("last") not in service.engine.memo(RUN):
            return reply(206, [op("StepPlanned", "last")], x_inngest_req_version="2")
        return reply(206, {"op": "RunComplete", "id": "x", "data": RESULT["data"]})

    service.engine.sdk.send = send  # type: ignore[method-assign]
    yield made


def test_run_in_the_callers_request(service: Service) -> None:
    first = begin(service, ran("a")).json["data"]
    assert (first["run_id"], bool(first["token"]), bool(first["realtime_token"])) == (
        *(RUN, True, True),
    )
    assert add(service, ran("b")).status_code == 200
    assert service.engine.run(RUN)["status"] == "running"
    assert service.engine.hinted.hints == []
    assert add(service, COMPLETE | {"data": RESULT}).status_code == 200
    run = service.engine.run(RUN)
    assert (run["status"], run["function_slug"], run["app_name"]) == (
        *("completed", "GET /o", "http://localhost:1"),
    )
    assert list(service.engine.memo(RUN)) == [step("a"), step("b")]
    assert service.engine.queued(RUN) == []
    url = f"/v1/checkpoint/{RUN}/output?token={first['token']}"
    answer = service.client.get(url)
    assert (answer.status_code, answer.text, answer.headers["X-A"]) == (201, "made", "b")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_the_second_run_of_an_endpoint_has_the_same_function(service: Service) -> None:
    first = begin(service).json["data"]
    second = begin(service, run_id="01JD0000000000000000000006").json["data"]
    assert [first[key] for key in ("fn_id", "app_id")] == [
        second[key] for key in ("fn_id", "app_id")
    ]
    assert "token" not in first
    apps = service.client.get("/v1/apps/http%3A%2F%2Flocalhost%3A1/functions")
    assert apps.status_code in (200, 404)


def test_endpoint_over_the_rate_limit_of_an_override(service: Service) -> None:
    fn_id = begin(service).json["data"]["fn_id"]
    limit = {"limit": 1, "period": "1h", "key": "event.data.query_params"}
    path = f"/v1/functions/{fn_id}/limits"
    put = service.client.put(path, json={"rateLimit": limit, "expiresIn": "2h"})
    assert put.status_code == 200, put.text
    runs = [f"01JD000000000000000000000{n}" for n in range(6, 9)]
    assert begin(service, run_id=runs[0]).status_code == 200
    refused = begin(service, run_id=runs[1])
    assert refused.status_code == 429
    assert "GET /o is over its rate limit" in refused.json["error"]
    with service.engine.ctx.db.reading() as tx:
        assert run_lookups.get(tx, runs[1]) is None
    other = {**EVENT, "data": {**EVENT["data"], "query_params": "a=2"}}  # type: ignore[dict-item]
    assert begin(service, run_id=runs[2], event=other).status_code == 200


def test_run_continues_in_the_background_after_a_sleep(service: Service, calls: list[Any]) -> None:
    begin(service, ran("a"))
    add(service, op("Sleep", "s", name="1m"))
    service.engine.drain()
    assert calls == []
    service.engine.advance(seconds=61)
    assert service.engine.run(RUN)["status"] == "completed"
    assert list(service.engine.memo(RUN)) == [step(name) for name in ("a", "s", "last")]
    assert [(method, url) for method, url, _, _ in calls] == [
        ("GET", "http://localhost:1/o?a=1")
    ] * 3
    assert all(headers["X-Inngest-Signature"] == "" for _, _, headers, _ in calls)


def test_run_continues_in_the_background_after_a_wait(service: Service, calls: list[Any]) -> None:
    opts = {"event": "x/y", "timeout": "1h"}
    begin(service, op("WaitForEvent", "w", name="x/y", opts=opts))
    service.engine.advance(seconds=1)
    assert calls == []
    service.send({"name": "x/y", "data": {"n": 1}})
    service.engine.drain()
    service.engine.advance(seconds=3)
    assert service.engine.run(RUN)["status"] == "completed"
    assert service.engine.memo(RUN)[step("w")]["data"] == {"n": 1}


def test_a_step_error_is_retried_in_the_background(service: Service, calls: list[Any]) -> None:
    begin(service, op("StepError", "last", error={"name": "E", "message": "no"}))
    assert calls == []
    service.engine.advance(seconds=4)
    assert calls == []
    service.engine.advance(seconds=2)
    assert service.engine.run(RUN)["status"] == "completed"


def test_own_back_off_sets_the_time_of_the_retry(service: Service, calls: list[Any]) -> None:
    fn_id = begin(service, ran("a")).json["data"]["fn_id"]
    rule = {"backoff": {"initial": "1m", "factor": 2}}
    assert service.client.put(f"/v1/functions/{fn_id}/limits", json=rule).status_code == 200
    add(service, op("StepError", "last", error={"name": "E", "message": "no"}))
    service.engine.advance(seconds=59)
    assert calls == []
    service.engine.advance(seconds=1)
    assert service.engine.run(RUN)["status"] == "completed"


def test_an_error_of_the_function_is_retried_too(service: Service, calls: list[Any]) -> None:
    begin(service, {"op": "StepError", "id": step("complete"), "error": {"name": "E"}})
    service.engine.advance(seconds=6)
    assert service.engine.run(RUN)["status"] == "completed"


def test_workers_continue_when_the_sdk_falls_silent(service: Service, calls: list[Any]) -> None:
    begin(service, ran("a"))
    with service.engine.ctx.db.transaction() as tx:
        assert leases.release_all(tx, service.engine.now) == 0, "the SDK is still at work"
    service.engine.advance(minutes=14)
    add(service, ran("b"))
    service.engine.advance(minutes=14)
    assert calls == []
    service.engine.now += SILENCE
    with service.engine.ctx.db.transaction() as tx:
        leases.free_lapsed(tx, service.engine.now, 10)
    service.engine.advance(seconds=1)
    assert service.engine.run(RUN)["status"] == "completed"
    assert list(service.engine.memo(RUN)) == [step(name) for name in ("a", "b", "last")]
    # later reports of the SDK are ignored, without an error
    assert add(service, ran("late")).status_code == 200
    assert step("late") not in service.engine.memo(RUN)


def test_a_server_error_fails_the_run(service: Service) -> None:
    begin(service, COMPLETE | {"data": {"data": {"status_code": 500, "body": "oh"}}})
    assert service.engine.run(RUN)["status"] == "failed"


def test_a_run_begins_once(service: Service) -> None:
    assert begin(service).status_code == 200
    assert begin(service).status_code == 409


def test_an_output_needs_its_own_token(service: Service) -> None:
    token = begin(service, COMPLETE | {"data": 7}).json["data"]["token"]
    url = "/v1/checkpoint/{}/output"
    assert service.client.get(url.format(RUN)).status_code == 401
    other = url.format("01JD0000000000000000000009")
    assert service.client.get(other, query_string={"token": token}).status_code == 401
    assert service.client.get(url.format(RUN), query_string={"token": token}).text == "7"
    preflight = service.client.options(url.format(RUN))
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET, OPTIONS"


def test_a_run_that_takes_too_long(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable_endpoints, "_LONGEST", timedelta(0))
    token = begin(service, ran("a")).json["data"]["token"]
    answer = service.client.get(f"/v1/http/runs/{RUN}/output", query_string={"token": token})
    assert answer.json["status"] == "running"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/checkpoint", b"{", 400),
        ("/v1/checkpoint", b"[]", 400),
        (f"/v1/checkpoint/{RUN}/steps", b"{", 400),
        (f"/v1/checkpoint/{RUN}/steps", b'{"steps":[{"op":"Nope"}]}', 400),
        (f"/v1/checkpoint/{RUN}/steps", b'{"steps":[]}', 200),
        ("/v1/checkpoint/nonsense/steps", b"{}", 400),
    ],
)
def test_bodies_that_cannot_be_read(service: Service, path: str, body: bytes, status: int) -> None:
    assert service.client.post(path, data=body).status_code == status


def test_only_the_output_needs_no_signing_key(service: Service) -> None:
    key = "signkey-prod-12345678"
    client = service.with_settings(dev=False, signing_key=key)
    assert client.post("/v1/checkpoint", json={}).status_code == 401
    assert client.post(f"/v1/checkpoint/{RUN}/steps", json={}).status_code == 401
    headers = {"Authorization": f"Bearer {signatures.bearer(key)}"}
    assert client.post("/v1/checkpoint", json={}, headers=headers).status_code == 400
