"""A function whose app syncs and answers as the Go SDK does, by the shapes of the documents."""

from datetime import timedelta
from typing import Any

from inngest_py.domain.reply.read import Reply
from tests.api.conftest import Service
from tests.factories import reply, step

URL = "http://localhost:8080/api/inngest"
SYNC = {
    "v": "1",
    "url": URL,
    "deployType": "ping",
    "sdk": "go:v0.14.3",
    "framework": "",
    "appName": "goods",
    "headers": {"env": "", "platform": ""},
    "capabilities": {"in_band_sync": "v1", "trust_probe": "v1", "connect": "v1"},
    "functions": [
        {
            "id": "goods-ship",
            "name": "Ship",
            "priority": None,
            "concurrency": [{"limit": 5, "scope": "fn"}],
            "idempotency": None,
            "triggers": [{"event": "goods/sold", "expression": "event.data.n > 0"}],
            "cancel": [{"event": "goods/lost", "if": "event.data.n == async.data.n"}],
            "timeouts": {"start": "1h30m", "finish": "24h"},
            "checkpoint": {"batch_steps": 3, "batch_interval": "1s", "max_runtime": "10s"},
            "steps": {
                "step": {
                    "id": "step",
                    "name": "Ship",
                    "runtime": {"type": "http", "url": f"{URL}?fnId=goods-ship&step=step"},
                    "retries": {"attempts": 3},
                }
            },
        }
    ],
}


def _op(code: str, name: str, **more: Any) -> dict[str, Any]:
    userland = {"id": name, "index": 0}
    return {"id": step(name), "op": code, "name": name, "userland": userland} | more


def _answer(status: int, body: Any, **headers: str) -> Reply:
    return reply(status, body, x_inngest_sdk="go:v0.14.3", x_inngest_req_version="1", **headers)


def _ops(*ops: dict[str, Any]) -> Reply:
    return _answer(206, list(ops))


class Ship:
    """Two steps side by side, a nap, a wait, a step that fails once, a result."""

    def __init__(self, later: str) -> None:
        self.later = later
        self.ran: list[str] = []

    def __call__(self, request: dict[str, Any], target: str) -> Reply:
        done = request["steps"]
        for name in "ab":
            if target == step(name):
                self.ran.append(name)
                return _ops(_op("StepRun", name, data=name))
        branches = [_op("StepPlanned", name) for name in "ab" if step(name) not in done]
        if branches:
            return _ops(*branches)
        if step("nap") not in done:
            return _ops(_op("Sleep", "nap", opts={"duration": "1m30s"}))
        if step("paid") not in done:
            opts = {"event": "goods/paid", "if": "async.data.n == event.data.n", "timeout": "1h"}
            return _ops(_op("WaitForEvent", "paid", opts=opts))
        if step("flaky") in done:
            return _answer(200, {"paid": done[step("paid")]["data"]["n"]})
        return self._flaky(request, target)

    def _flaky(self, request: dict[str, Any], target: str) -> Reply:
        # with version 1 the run plans its steps for good once it has had two side by side
        assert request["ctx"]["disable_immediate_execution"]
        if target != step("flaky"):
            return _ops(_op("StepPlanned", "flaky"))
        self.ran.append("flaky")
        if request["ctx"]["attempt"] == 0:
            error = {"name": "Error", "message": "not yet"}
            op = _op("StepError", "flaky", error=error)
            return _answer(206, [op], retry_after=self.later)
        return _ops(_op("StepRun", "flaky", data=None))


def test_a_run_of_every_shape(service: Service) -> None:
    engine = service.engine
    asked = engine.now + timedelta(seconds=90 + 40)
    ship = engine.sdk.script = Ship(asked.isoformat().replace("+00:00", "Z"))
    assert service.client.post("/fn/register", json=SYNC).status_code == 200
    shown = service.client.get("/v2/apps/goods").json["data"]["latestSync"]
    assert (shown["sdkLanguage"], shown["sdkVersion"]) == ("go", "v0.14.3")
    service.send({"name": "goods/sold", "data": {"n": 0}})
    [event_id] = service.send({"name": "goods/sold", "data": {"n": 2}}).json["ids"]
    engine.drain()
    engine.advance(seconds=89)
    assert ship.ran == ["a", "b"]
    engine.advance(seconds=1)
    for n in (1, 2):
        service.send({"name": "goods/paid", "data": {"n": n}})
    engine.drain()
    assert ship.ran == ["a", "b", "flaky"]
    engine.advance(seconds=39)
    assert ship.ran == ["a", "b", "flaky"]
    engine.advance(seconds=1)
    [run] = service.client.get(f"/v1/events/{event_id}/runs").json["data"]
    assert (run["status"], run["output"]) == ("Completed", {"paid": 2})
    assert ship.ran == ["a", "b", "flaky", "flaky"]
    assert {request["version"] for request in engine.sdk.requests[1:]} == {1}


def test_an_error_that_is_not_to_be_retried(service: Service) -> None:
    error = {"name": "Error", "message": "no such parcel", "stack": "main.go:1"}
    service.engine.sdk.script = lambda *_: _answer(400, error, x_inngest_no_retry="true")
    service.client.post("/fn/register", json=SYNC)
    [event_id] = service.send({"name": "goods/sold", "data": {"n": 1}}).json["ids"]
    service.engine.drain()
    [run] = service.client.get(f"/v1/events/{event_id}/runs").json["data"]
    assert (run["status"], run["output"]["message"]) == ("Failed", "no such parcel")
    assert len(service.engine.sdk.requests) == 1


def test_singleton_in_the_spelling_of_the_go_sdk(service: Service) -> None:
    """The SDK's struct has no JSON name for this field, so the key begins with a capital."""
    one = {**SYNC["functions"][0], "Singleton": {"mode": "skip", "key": None}}
    assert service.client.post("/fn/register", json={**SYNC, "functions": [one]}).status_code == 200
    sent = [{"name": "goods/sold", "data": {"n": n}} for n in range(1, 51)]
    ids = service.send(sent).json["ids"]
    found = [service.client.get(f"/v1/events/{one}/runs").json["data"] for one in ids]
    statuses = [run["status"] for runs in found for run in runs]
    assert (len(statuses), statuses.count("Skipped")) == (50, 49)
