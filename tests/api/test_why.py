"""Why a run or an event waits, over HTTP, at /v1 and at /api/v1."""

import pytest

from tests.api.conftest import Service

BOTH = pytest.mark.parametrize("base", ["/v1", "/api/v1"])


@BOTH
def test_run_and_event_say_what_they_wait_for(service: Service, base: str) -> None:
    [event_id] = service.send({"name": "a/b"}).json["ids"]
    answered = service.client.get(f"{base}/events/{event_id}/why")
    assert answered.status_code == 200
    [made] = answered.json["data"]["reasons"]
    run_id = made["details"]["run_id"]
    waits = service.client.get(f"{base}/runs/{run_id}/why").json["data"]
    [reason] = waits["reasons"]
    assert (waits["id"], waits["status"], reason["kind"]) == (run_id, "queued", "no_worker")
    assert reason["since"].endswith("Z")
    assert set(reason) == {"kind", "text", "since", "until", "details"}
    service.engine.drain()
    ended = service.client.get(f"{base}/runs/{run_id}/why").json["data"]
    assert (ended["status"], ended["reasons"][0]["kind"]) == ("completed", "ended")


@BOTH
@pytest.mark.parametrize("what", ["runs", "events"])
def test_unknown_and_bad_ids(service: Service, base: str, what: str) -> None:
    unknown = service.client.get(f"{base}/{what}/{service.engine.ctx.new_id()}/why")
    assert (unknown.status_code, unknown.json["status"]) == (404, 404)
    bad = service.client.get(f"{base}/{what}/nothing/why")
    assert (bad.status_code, "26 characters" in bad.json["error"]) == (400, True)


@BOTH
def test_routes_need_the_signing_key(service: Service, base: str) -> None:
    client = service.with_settings(dev=False, signing_key="signkey-prod-00")
    for what in ("runs", "events"):
        answered = client.get(f"{base}/{what}/{service.engine.ctx.new_id()}/why")
        assert answered.status_code == 401
