"""Alerts and their receivers over HTTP."""

from typing import Any

import pytest

from tests.api.conftest import Service

RECEIVERS = "/v1/alerts/receivers"
HOOK = {"name": "on duty", "kind": "webhook", "target": "http://127.0.0.1:1/hook/s3cret"}


def test_a_receiver_is_added_changed_tried_and_removed(service: Service) -> None:
    client = service.client
    added = client.post(RECEIVERS, json=HOOK)
    assert added.status_code == 201
    one = added.json["data"]
    assert (one["name"], one["kind"], one["target"]) == ("on duty", "webhook", "127.0.0.1")
    mine = f"{RECEIVERS}/{one['id']}"
    changed = client.patch(mine, json={"alerts": ["app_down"]}).json["data"]
    assert (changed["alerts"], changed["name"]) == (["app_down"], "on duty")
    tried = client.post(f"{mine}/test").json["data"]
    assert tried == {"accepted": False, "problem": "connection refused"}
    [listed] = client.get(RECEIVERS).json["data"]
    assert (listed["id"], listed["error"]) == (one["id"], "connection refused")
    assert "s3cret" not in client.get(RECEIVERS).text
    assert client.delete(mine).json["data"] == {"id": one["id"]}
    assert client.get(RECEIVERS).json["data"] == []
    assert client.get("/v1/alerts").json["data"] == []


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"kind": "fax"}, 400, "webhook, slack, email, pagerduty"),
        ({"target": "nowhere/s3cret"}, 400, "give a URL"),
        ({"target": None}, 400, "target"),
        ({"name": ""}, 400, "name is missing"),
        ({"name": "x" * 65}, 400, "1 to 64"),
        ({"alerts": ["doom"]}, 400, "there is no alert 'doom'"),
        ({"kind": "email", "target": "a@example.com"}, 400, "INNGEST_SMTP_URL"),
        ({"colour": "red"}, 400, "colour"),
        ({}, 409, "there is a receiver called on duty already"),
    ],
)
def test_bad_receivers_name_the_fix(
    service: Service, change: dict[str, Any], status: int, told: str
) -> None:
    service.client.post(RECEIVERS, json=HOOK)
    answered = service.client.post(RECEIVERS, json={**HOOK, **change})
    assert (answered.status_code, told in answered.json["error"]) == (status, True), answered.text
    assert "s3cret" not in answered.text
    assert len(service.client.get(RECEIVERS).json["data"]) == 1


def test_another_kind_needs_its_target_and_an_unknown_receiver_is_404(service: Service) -> None:
    client = service.client
    mine = f"{RECEIVERS}/{client.post(RECEIVERS, json=HOOK).json['data']['id']}"
    refused = client.patch(mine, json={"kind": "pagerduty"})
    assert (refused.status_code, "give target" in refused.json["error"]) == (400, True)
    for answered in (
        client.patch(f"{RECEIVERS}/nobody", json={"name": "x"}),
        client.delete(f"{RECEIVERS}/nobody"),
        client.post(f"{RECEIVERS}/nobody/test"),
    ):
        assert (answered.status_code, "nobody" in answered.json["error"]) == (404, True)


def test_routes_need_the_signing_key(service: Service) -> None:
    client = service.with_settings(dev=False, signing_key="signkey-prod-00")
    assert client.get(RECEIVERS).status_code == 401
    assert client.post(RECEIVERS, json=HOOK).status_code == 401
