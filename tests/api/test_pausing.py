"""Pausing functions over HTTP, at /v1 and at /api/v1."""

from typing import Any

import pytest

from tests.api.conftest import Service

BOTH = pytest.mark.parametrize("base", ["/v1", "/api/v1"])


@BOTH
def test_a_function_is_paused_and_resumed_by_slug_or_id(service: Service, base: str) -> None:
    client = service.client
    shown = service.function_of("app", "app-fn")
    assert (shown["paused"], shown["paused_at"], shown["paused_events"]) == (False, None, None)
    answered = client.post(f"{base}/functions/app-fn/pause")
    assert answered.status_code == 200
    paused = answered.json["data"]
    assert (paused["id"], paused["paused"], paused["paused_events"]) == ("app-fn", True, "skip")
    assert service.function_of("app", "app-fn") == paused
    assert paused in client.get("/api/v1/functions").json["data"]
    [event_id] = service.send({"name": "a/b"}).json["ids"]
    [run] = client.get(f"/v1/events/{event_id}/runs").json["data"]
    assert run["status"] == "Skipped"
    native = client.get(f"/api/v1/runs/{run['run_id']}").json["data"]
    assert (native["status"], native["skip_reason"]) == ("skipped", "FunctionPaused")
    by_id = f"{base}/functions/{shown['internal_id']}"
    held = client.post(f"{by_id}/pause", json={"events": "hold"}).json["data"]
    assert (held["paused_events"], held["paused_at"]) == ("hold", paused["paused_at"])
    assert client.post(f"{by_id}/resume").json["data"] == shown


@BOTH
@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("nobody/pause", {}, 404, "nobody"),
        ("nobody/resume", {}, 404, "nobody"),
        ("app-fn/pause", {"events": "later"}, 400, "events"),
        ("app-fn/pause", {"events": 1}, 400, "events"),
        ("app-fn/pause", {"event": "hold"}, 400, "event"),
        ("app-fn/pause", [], 400, ""),
    ],
)
def test_bad_requests_name_the_fix(
    service: Service, base: str, path: str, body: Any, status: int, told: str
) -> None:
    answered = service.client.post(f"{base}/functions/{path}", json=body)
    assert (answered.status_code, answered.json["status"]) == (status, status)
    assert told in answered.json["error"]
    assert service.function_of("app", "app-fn")["paused"] is False


@BOTH
def test_routes_need_the_signing_key(service: Service, base: str) -> None:
    client = service.with_settings(dev=False, signing_key="signkey-prod-00")
    for verb in ("pause", "resume"):
        assert client.post(f"{base}/functions/app-fn/{verb}").status_code == 401


def test_health_does_not_count_held_items(service: Service) -> None:
    service.client.post("/v1/functions/app-fn/pause", json={"events": "hold"})
    service.send({"name": "a/b"})
    service.engine.drain()
    service.engine.advance(minutes=5)
    backlog = service.client.get("/health").json["backlog"]
    assert backlog == {"due": 0, "oldest_seconds": 0.0, "in_flight": 0}


@BOTH
def test_what_is_wrong_with_a_body_is_said(service: Service, base: str) -> None:
    def error(**given: Any) -> str:
        answered = service.client.post(f"{base}/functions/app-fn/pause", **given)
        assert answered.status_code == 400
        return str(answered.json["error"])

    assert error(json={"events": "later"}) == "events: Must be one of: skip, hold."
    assert error(json={"event": "hold"}) == "event: is not known here: remove it"
    assert error(json=[]) == "the body: must be a JSON object"
    assert error(data=b"{").startswith("this is not JSON")
