"""Functions described in JSON: `POST /api/v1/functions`."""

from typing import Any

import pytest

from tests.api.conftest import Service
from tests.api.test_register import is_public

URL = "http://localhost:4000/call"
BODY = {"app": "pay", "name": "Charge", "url": URL, "triggers": [{"event": "pay/due"}]}


def post(service: Service, **changes: Any) -> Any:
    return service.client.post("/api/v1/functions", json=BODY | changes)


def test_event_starts_a_described_function(service: Service) -> None:
    answered = post(service)
    assert answered.status_code == 200
    assert answered.json.keys() == {"data"}
    assert answered.json["data"].keys() == {"id", "slug"}
    assert answered.json["data"]["slug"] == "pay-charge"
    stored = service.function_of("pay", "pay-charge")
    assert stored["internal_id"] == answered.json["data"]["id"]
    assert stored["name"] == "Charge"
    assert stored in service.client.get("/api/v1/functions").json["data"]
    [event_id] = service.send({"name": "pay/due"}).json["ids"]
    service.engine.drain()
    [run] = service.client.get(f"/v1/events/{event_id}/runs").json["data"]
    assert (run["status"], run["output"]) == ("Completed", {"done": 2})
    [app] = [a for a in service.client.get("/api/v1/apps").json["data"] if a["name"] == "pay"]
    assert (app["url"], app["functions"]) == (URL, 1)


def test_other_functions_of_the_app_stay(service: Service) -> None:
    post(service)
    post(service, name="Refund", triggers=[{"event": "pay/back"}])
    listed = service.client.get("/v1/apps/pay/functions").json
    assert {item["id"] for item in listed if item["archived_at"] is None} == {
        "pay-charge",
        "pay-refund",
    }


def test_the_same_id_again_is_a_new_version(service: Service) -> None:
    first = post(service).json["data"]
    assert post(service, triggers=[{"event": "pay/now"}]).json["data"] == first
    assert service.function_of("pay", "pay-charge")["config"]["fv"] == 2
    [event_id] = service.send({"name": "pay/due"}).json["ids"]
    assert service.client.get(f"/v1/events/{event_id}/runs").json["data"] == []
    [event_id] = service.send({"name": "pay/now"}).json["ids"]
    assert len(service.client.get(f"/v1/events/{event_id}/runs").json["data"]) == 1


def test_steps_of_an_sdk_replace_the_url(service: Service) -> None:
    body: dict[str, Any] = {key: BODY[key] for key in ("app", "name", "triggers")}
    runtime = {"type": "http", "url": f"{URL}?fnId=own&stepId=step"}
    body |= {"id": "own", "steps": {"step": {"runtime": runtime, "retries": {"attempts": 0}}}}
    answered = service.client.post("/api/v1/functions", json=body)
    assert (answered.status_code, answered.json["data"]["slug"]) == (200, "own")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"app": ""}, "app"),
        ({"app": None}, "app"),
        ({"app": 5}, "app"),
        ({"app": "x" * 256}, "app"),
        ({"name": []}, "name"),
        ({"url": None}, "url"),
        ({"url": "localhost"}, "url"),
        ({"url": "ws://connect"}, "http://"),
        ({"url": f"http://a/{'ü' * 1900}"}, "url"),
        ({"triggers": 5}, "triggers"),
        ({"triggers": [{"event": ""}]}, "triggers"),
        ({"triggers": [{"cron": "x"}]}, "triggers"),
        ({"triggers": [{"event": "a", "expression": "event."}]}, "triggers"),
        ({"priority": {"run": "("}}, "priority"),
        ({"batchEvents": {"maxSize": 1, "timeout": "5s"}}, "batchEvents"),
    ],
)
def test_error_says_what_is_wrong(lasting: Service, changes: dict[str, Any], field: str) -> None:
    answered = post(lasting, **changes)
    assert is_public(answered, 400)
    assert field in answered.json["error"]
