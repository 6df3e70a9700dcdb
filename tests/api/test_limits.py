"""Limits over HTTP, at /v1 and /api/v1, and in every place that shows a function."""

from datetime import timedelta
from typing import Any

import pytest

from tests.api.conftest import Service

BOTH = pytest.mark.parametrize("base", ["/v1", "/api/v1"])
GQL = """{ functionBySlug(query: {functionSlug: "app-fn"}) {
    configuration { concurrency { limit { value } key } throttle { limit period } } } }"""


@BOTH
def test_limits_are_shown_overridden_and_restored(service: Service, base: str) -> None:
    service.engine.register(2, concurrency=4)
    path = f"{base}/functions/app-fn/limits"
    before = service.client.get(path).json["data"]
    assert before["configured"]["concurrency"] == {"step": [{"limit": 4, "scope": "fn"}], "fn": []}
    assert (before["override"], before["effective"]) == (None, before["configured"])
    body = {"concurrency": [{"limit": 9, "key": "event.data.k"}], "expiresIn": "1h", "by": "me"}
    put = service.client.put(path, json=body)
    assert put.status_code == 200
    after = put.json["data"]
    step = {"limit": 9, "scope": "fn", "key": "event.data.k"}
    assert after["effective"] == before["configured"] | {"concurrency": {"step": [step], "fn": []}}
    assert after["configured"] == before["configured"]
    assert after["override"]["set_by"] == "me"
    ends = service.engine.now + timedelta(hours=1)
    assert after["override"]["expires_at"] == ends.isoformat().replace("+00:00", "Z")
    by_id = f"{base}/functions/{before['internal_id']}/limits"
    assert service.client.get(by_id).json["data"] == after
    assert service.client.delete(by_id).json["data"] == before


def test_limits_are_shown_wherever_the_function_is(service: Service) -> None:
    def shown() -> list[Any]:
        v1 = service.function_of("app", "app-fn")
        native = service.client.get("/api/v1/functions").json["data"][0]
        v2 = service.client.get("/v2/apps/app/functions/app-fn").json["data"]
        gql = service.client.post("/v0/gql", json={"query": GQL}).json["data"]["functionBySlug"]
        return [
            (v1["config"].get("concurrency"), v1["limits"] is not None),
            (native["config"].get("concurrency"), native["limits"] is not None),
            [item["limit"]["value"] for item in v2["configuration"].get("concurrency", [])],
            [item["limit"]["value"] for item in gql["configuration"]["concurrency"]],
        ]

    entry = {"limit": 7, "scope": "fn"}
    assert shown() == [(None, False), (None, False), [], []]
    service.client.put("/v1/functions/app-fn/limits", json={"concurrency": 7, "expiresIn": "1m"})
    assert shown() == [([entry], True), ([entry], True), [7], [7]]
    service.engine.now += timedelta(minutes=1)
    assert shown() == [(None, False), (None, False), [], []]


@BOTH
@pytest.mark.parametrize(
    ("name", "body", "status", "told"),
    [
        ("nobody", {"concurrency": 1}, 404, "nobody"),
        ("app-fn", {}, 400, "concurrency"),
        ("app-fn", [], 400, ""),
        ("app-fn", {"concurrency": "many"}, 400, "concurrency"),
        ("app-fn", {"throttle": {"limit": 1}}, 400, "throttle.period"),
        ("app-fn", {"rateLimit": {"limit": 1, "period": "2d"}}, 400, "rateLimit.period"),
        ("app-fn", {"backoff": {"initial": "5s", "jitter": 2}}, 400, "backoff.jitter"),
        ("app-fn", {"concurrency": 1, "expiresAt": "2001-01-01T00:00:00Z"}, 400, "expiresAt"),
        ("app-fn", {"concurrency": 1, "ttl": "1h"}, 400, "ttl"),
    ],
)
def test_bad_requests_name_the_fix(
    service: Service, base: str, name: str, body: Any, status: int, told: str
) -> None:
    answered = service.client.put(f"{base}/functions/{name}/limits", json=body)
    assert (answered.status_code, answered.json["status"]) == (status, status)
    assert told in answered.json["error"]
    assert service.client.get("/v1/functions/app-fn/limits").json["data"]["override"] is None


@BOTH
def test_routes_need_the_signing_key(service: Service, base: str) -> None:
    client = service.with_settings(dev=False, signing_key="signkey-prod-00")
    for call in (client.get, client.put, client.delete):
        assert call(f"{base}/functions/app-fn/limits").status_code == 401


def test_function_described_in_json_may_have_a_backoff(service: Service) -> None:
    given = {"app": "app", "name": "own", "url": "http://localhost:1/own", "triggers": []}
    backoff = {"initial": "5s", "factor": 2, "maximum": "10m", "jitter": 0.2}
    made = service.client.post("/api/v1/functions", json=given | {"backoff": backoff})
    assert made.status_code == 200, made.json
    slug = made.json["data"]["slug"]
    shown = service.client.get(f"/v1/functions/{slug}/limits").json["data"]["effective"]
    assert shown["backoff"] == backoff | {"maximum": "600s"}
    refused = service.client.post("/api/v1/functions", json=given | {"backoff": {"initial": "x"}})
    assert (refused.status_code, refused.json["data"]) == (400, {"field": "backoff.initial"})


def test_body_that_is_not_an_object_is_refused(service: Service) -> None:
    for path in ("app-fn/limits", "app-fn/pause"):
        method = service.client.put if "limits" in path else service.client.post
        refused = method(f"/api/v1/functions/{path}", json=[])
        assert refused.status_code == 400
        assert "the body: must be a JSON object" in refused.text
