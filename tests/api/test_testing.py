"""The test API of dev servers (api.md §3)."""

from typing import Any

import pytest

from inngest_py.domain import ids
from tests.api.conftest import Service

ROUTES = [
    ("POST", "/test/function/pause"),
    ("POST", "/test/function/runs/cancel"),
    ("GET", "/test/queue/function-queue-size"),
    ("POST", "/test/reset"),
]
UNKNOWN = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize("settings", [{"dev": True}, {"dev": False, "test_api": True}])
def test_it_is_not_there_unless_asked_for(service: Service, settings: dict[str, Any]) -> None:
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
def test_bad_requests_are_told(
    service: Service, method: str, path: str, query: dict[str, Any], status: int, told: str
) -> None:
    client = service.with_settings(test_api=True)
    known = service.function_of("app", "app-fn")["internal_id"]
    query = {name: known if value is None else value for name, value in query.items()}
    answered = client.open(f"/test/{path}", method=method, query_string=query)
    assert answered.status_code == answered.json["status"] == status
    assert told in answered.json["error"]
