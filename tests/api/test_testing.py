"""The test API of dev servers (api.md §3)."""

from typing import Any

import pytest

from inngest_py.domain.values import ids
from tests.api.conftest import Service
from tests.engine.harness import sequence
from tests.factories import op, reply

ROUTES = [
    ("POST", "/test/function/pause"),
    ("POST", "/test/function/runs/cancel"),
    ("GET", "/test/queue/function-queue-size"),
    ("POST", "/test/reset"),
    ("POST", "/fn/step-limit"),
    ("DELETE", "/fn/state-size-limit"),
]
UNKNOWN = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize("settings", [{"dev": True}, {"dev": False, "test_api": True}])
def test_test_api_is_off_by_default(service: Service, settings: dict[str, Any]) -> None:
    client = service.with_settings(**settings)
    for method, path in ROUTES:
        assert client.open(path, method=method).status_code == 404


def test_a_suite_pauses_counts_cancels_and_starts_over(service: Service) -> None:
    client, engine = service.with_settings(test_api=True), service.engine
    function_id = service.function_of("app", "app-fn")["internal_id"]
    query = {"accountId": ids.DEV_ACCOUNT_ID, "fnId": function_id}

    def call(method: str, path: str, **more: str) -> Any:
        answered = client.open(f"/test/{path}", method=method, query_string=query | more)
        assert answered.status_code == 200, answered.text
        return answered.json

    def size() -> int:
        return int(call("GET", "queue/function-queue-size")["count"])

    assert size() == 0
    call("POST", "function/pause")
    first, second = engine.start(), engine.start()
    engine.drain()
    assert (size(), len(engine.sdk.requests)) == (2, 0)
    call("POST", "function/runs/cancel", runId=first)
    assert engine.run(first)["status"] == "cancelled"
    assert (engine.run(second)["status"], size()) == ("queued", 1)

    call("POST", "reset")
    assert size() == 0
    assert client.get(f"/v1/runs/{second}").status_code == 404
    assert client.get("/v1/events").json["data"] == []
    assert service.function_of("app", "app-fn")["internal_id"] == function_id
    again = engine.start()
    engine.drain()
    assert engine.run(again)["status"] == "completed"


def test_an_idempotency_id_may_be_used_again_after_a_reset(service: Service) -> None:
    client = service.with_settings(test_api=True)
    for _ in range(2):
        assert client.post("/e/x", json={"name": "a/b", "id": "once"}).status_code == 200
        [event] = client.get("/v1/events").json["data"]
        assert len(client.get(f"/v1/events/{event['internal_id']}/runs").json["data"]) == 1
        assert client.post("/test/reset").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "query", "status", "told"),
    [
        ("POST", "function/pause", {}, 400, "fnId"),
        ("POST", "function/pause", {"fnId": UNKNOWN}, 404, "function"),
        ("GET", "queue/function-queue-size", {"fnId": "x"}, 404, "function"),
        ("POST", "function/runs/cancel", {"fnId": None}, 400, "runId"),
        ("POST", "function/runs/cancel", {"fnId": None, "runId": "0" * 26}, 404, "run"),
    ],
)
def test_bad_requests_are_refused_with_the_reason(
    service: Service, method: str, path: str, query: dict[str, Any], status: int, told: str
) -> None:
    client = service.with_settings(test_api=True)
    known = service.function_of("app", "app-fn")["internal_id"]
    query = {name: known if value is None else value for name, value in query.items()}
    answered = client.open(f"/test/{path}", method=method, query_string=query)
    assert answered.status_code == answered.json["status"] == status
    assert told in answered.json["error"]


LIMITS = [
    ("/fn/step-limit", 2, "step limit of 2 steps", "InngestErrFunctionOverflowed"),
    ("/fn/state-size-limit", 30, "state size limit of 30 bytes", "InngestErrStateOverflowed"),
]


@pytest.mark.parametrize(("path", "most", "told", "name"), LIMITS)
@pytest.mark.parametrize("by", ["slug", "id"])
def test_suite_limits_steps_and_state_of_runs(
    service: Service, path: str, most: int, told: str, name: str, by: str
) -> None:
    client, engine = service.with_settings(test_api=True), service.engine
    engine.sdk.script = sequence("one", "two", "three", "four")
    internal = service.function_of("app", "app-fn")["internal_id"]
    function = {"functionId": "app-fn" if by == "slug" else internal}
    assert client.post(path, data=function | {"limit": str(most)}).json == {"ok": True}
    run_id = engine.start()
    engine.drain()
    run = engine.run(run_id)
    assert run["status"] == "failed"
    shown = client.get(f"/api/v1/runs/{run_id}").json["data"]["output"]
    assert told in str(shown)
    assert name in str(shown)
    assert client.delete(path, data=function).status_code == 200
    free = engine.start()
    engine.drain()
    assert engine.run(free)["status"] == "completed"
    client.post(path, data=function | {"limit": "1"})
    client.post("/test/reset")
    assert engine.ctx.run_limits == {}


@pytest.mark.parametrize(("path", "most", "told", "name"), LIMITS)
def test_checkpoint_respects_the_limits_of_a_suite(
    service: Service, path: str, most: int, told: str, name: str
) -> None:
    client, engine = service.with_settings(test_api=True), service.engine
    client.post(path, data={"functionId": "app-fn", "limit": most})
    answers: list[Any] = []

    def script(request: dict[str, Any], target: str) -> Any:
        ctx = request["ctx"]
        body = {
            "run_id": ctx["run_id"],
            "qi_id": ctx["qi_id"],
            "steps": [op("StepRun", name, data="x" * 9) for name in "abcd"],
        }
        answers.append(client.post(f"/v1/checkpoint/{ctx['run_id']}/async", json=body))
        return reply(200, "done")

    engine.sdk.script = script
    engine.start()
    engine.drain()
    assert answers[0].status_code == 413
    assert told in answers[0].json["error"]


@pytest.mark.parametrize("path", ["/fn/step-limit", "/fn/state-size-limit"])
@pytest.mark.parametrize(
    ("given", "status", "field"),
    [
        ({"limit": "5"}, 400, "functionId"),
        ({"functionId": "app-fn"}, 400, "limit"),
        *(
            ({"functionId": "app-fn", "limit": bad}, 400, "limit")
            for bad in ("0", "-1", "x", "1.5")
        ),
        ({"functionId": "app-fn", "limit": "9" * 30}, 400, "limit"),
        ({"functionId": "nobody", "limit": "5"}, 404, None),
    ],
)
def test_bad_limits_are_refused(
    service: Service, path: str, given: dict[str, str], status: int, field: str | None
) -> None:
    answered = service.with_settings(test_api=True).post(path, data=given)
    assert answered.status_code == status
    if field is not None:
        assert answered.json["data"] == {"field": field}
    assert service.engine.ctx.run_limits == {}
