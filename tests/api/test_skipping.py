"""`POST /dev/runs/{id}/skip`: waits are skipped over HTTP, on dev servers alone."""

from typing import Any

import pytest

from tests.api.conftest import Service
from tests.engine import waiting
from tests.factories import op, step

NAP = op("Sleep", "nap", name="3d")


def begun(service: Service, *ops: Any) -> str:
    service.engine.sdk.script = waiting.waits(*ops)
    run_id = service.engine.start()
    service.engine.drain()
    return run_id


def skip(service: Service, run_id: str, body: Any = None) -> Any:
    return service.client.post(f"/dev/runs/{run_id}/skip", json=body)


def test_the_only_wait_of_a_run_is_skipped(service: Service) -> None:
    run_id = begun(service, NAP)
    answered = service.client.post(f"/dev/runs/{run_id}/skip")  # without a body
    assert answered.status_code == 200, answered.text
    assert answered.json["data"] == {
        "run_id": run_id,
        "step": step("nap"),
        "name": "nap",
        "label": "step 'nap'",
        "kind": "sleep",
        "was_due_at": "2026-01-05T03:04:05Z",
    }
    service.engine.drain()
    assert service.engine.run(run_id)["status"] == "completed"
    again = skip(service, run_id)
    assert (again.status_code, again.json["code"]) == (409, "run_ended")


def test_a_step_is_named(service: Service) -> None:
    run_id = begun(service, NAP, waiting.for_event("w"))
    several = skip(service, run_id, {})
    assert (several.status_code, several.json["data"]["field"]) == (400, "step")
    assert "name one of them as step" in several.json["error"]
    assert skip(service, run_id, {"step": "w"}).json["data"]["kind"] == "wait"
    again = skip(service, run_id, {"step": "w"})
    assert (again.status_code, again.json["code"]) == (409, "not_waiting")
    assert "it is due, and waits for a worker" in again.json["error"]
    assert skip(service, run_id, {"step": None}).json["data"]["name"] == "nap"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"step": "other"}, "no step 'other' of this run waits: what waits is 'nap'"),
        ({"step": ""}, "step"),
        ({"step": 1}, "step"),
        ({"step": "x\0"}, "step"),
        ({"steps": "nap"}, "steps"),
        ([], "object"),
    ],
)
def test_bad_bodies_change_nothing(service: Service, body: Any, told: str) -> None:
    run_id = begun(service, NAP)
    answered = skip(service, run_id, body)
    assert answered.status_code == 400, answered.text
    assert told in answered.json["error"]
    [item] = service.engine.queued(run_id)
    assert item["due_at"] > service.engine.now


def test_unknown_runs_and_ids(service: Service) -> None:
    unknown = skip(service, service.engine.ctx.new_id())
    assert (unknown.status_code, "does not exist" in unknown.json["error"]) == (404, True)
    bad = skip(service, "nothing")
    assert (bad.status_code, "26 characters" in bad.json["error"]) == (400, True)


def test_a_production_server_has_no_such_route(service: Service) -> None:
    run_id = begun(service, NAP)
    key = {"Authorization": "Bearer signkey-prod-00"}
    client = service.with_settings(dev=False, signing_key="signkey-prod-00")
    answered = client.post(f"/dev/runs/{run_id}/skip", headers=key)
    assert answered.status_code == 404
    assert "is a route of dev servers alone" in answered.json["error"]
    paths = client.get("/api/openapi.json").json["paths"]
    assert not any(path.startswith("/dev") for path in paths)
    document = service.with_settings().get("/api/openapi.json").json
    assert "/dev/runs/{run_id}/skip" in document["paths"]
