"""Error groups over HTTP, at /v1 and at /api/v1."""

from datetime import timedelta
from typing import Any

import pytest

from inngest_py.engine.upkeep.errors import grouping
from tests.api.conftest import Service
from tests.factories import reply

BOTH = pytest.mark.parametrize("base", ["/v1/errors", "/api/v1/errors"])


def fail(service: Service, *words: str) -> list[str]:
    """Let a run fail for each word; return their ids."""
    engine = service.engine
    engine.sdk.script = lambda request, target: reply(
        500,
        {"name": "Gone", "message": f"{request['event']['data']['word']} is gone"},
        x_inngest_no_retry="true",
    )
    started = []
    engine.now += timedelta(seconds=1)
    for word in words:
        started.append(engine.start(data={"word": word}))
        engine.drain()
        engine.now += timedelta(seconds=1)
    grouping.group(engine.ctx)
    return started


@BOTH
def test_errors_are_listed_shown_and_changed(service: Service, base: str) -> None:
    client = service.client
    first, second, _ = fail(service, "'tea'", "'coffee'", "milk")
    listed = client.get(base).json
    assert (listed["cursor"], listed["has_more"]) == (None, False)
    milk, quoted = listed["data"]
    assert (milk["message"], milk["runs"]) == ("milk is gone", 1)
    assert (quoted["message"], quoted["cause"]) == ("'coffee' is gone", "# is gone")
    assert (quoted["function"], quoted["app"], quoted["step"]) == ("app-fn", "app", None)
    assert (quoted["runs"], quoted["state"]) == (2, "open")
    assert quoted["hours"] == [0] * 23 + [2]
    assert quoted["is_new_since_deploy"] is True
    shown = client.get(f"{base}/{quoted['id']}").json["data"]
    assert {name: shown[name] for name in quoted} == quoted
    assert [run["id"] for run in shown["sample_runs"]] == [second, first]
    assert (shown["still_failed"], shown["days"], shown["frames"]) == (2, [0] * 6 + [2], [])
    assert [one["sdk"] for one in shown["versions"]] == ["js v4.0.0"]
    until = (service.engine.now + timedelta(hours=2)).isoformat()
    body = {"state": "muted", "muted_until": until}
    muted = client.patch(f"{base}/{quoted['id']}", json=body).json["data"]
    assert (muted["state"], muted["muted_until"][:19]) == ("muted", until[:19])
    assert muted["changed_by"] == "anybody"
    resolved = client.patch(f"{base}/{quoted['id']}", json={"state": "resolved"}).json["data"]
    assert (resolved["state"], resolved["muted_until"]) == ("resolved", None)
    fail(service, "'tea'")
    again = client.get(f"{base}/{quoted['id']}").json["data"]
    assert (again["state"], again["runs"], again["changed_by"]) == ("open", 3, None)
    assert again["regressed_at"] is not None


def test_errors_are_filtered_ordered_and_paged(service: Service) -> None:
    client = service.client
    fail(service, "milk", "'tea'", "'coffee'", "oil")

    def messages(query: str) -> list[str]:
        answered = client.get(f"/v1/errors?{query}")
        assert answered.status_code == 200, answered.json
        return [one["message"].split()[0] for one in answered.json["data"]]

    assert messages("order=runs")[0] == "'coffee'"
    assert messages("order=first_seen") == ["oil", "'coffee'", "milk"]
    assert messages("text=MILK") == ["milk"]
    assert messages("function=app-fn&app=app&state=open") == ["oil", "'coffee'", "milk"]
    assert messages("function=nobody") == messages("app=nobody") == messages("state=muted") == []
    seen = client.get("/v1/errors?text=milk").json["data"][0]["last_seen"]
    assert messages(f"until={seen}") == []
    assert messages(f"since={seen}") == ["oil", "'coffee'", "milk"]
    for order in ("last_seen", "runs", "first_seen"):
        found, cursor = [], ""
        for _ in range(3):
            page = client.get(f"/v1/errors?limit=1&order={order}{cursor}").json
            found += [one["id"] for one in page["data"]]
            cursor = f"&cursor={page['cursor']}"
        assert page["has_more"] is False
        assert len(set(found)) == 3


@BOTH
@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("?state=closed", "state"),
        ("?order=name", "order"),
        ("?limit=0", "limit"),
        ("?cursor=x", "cursor"),
        ("?since=monday", "since"),
        ("?text=" + "x" * 201, "text"),
        ("/x", "26 characters"),
    ],
)
def test_bad_queries_name_the_field(service: Service, base: str, path: str, told: str) -> None:
    answered = service.client.get(base + path)
    assert answered.status_code == 400
    assert told in answered.json["error"]


@BOTH
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "state"),
        ({"state": "closed"}, "state"),
        ({"state": "muted", "muted_until": "later"}, "muted_until"),
        ({"state": "muted", "muted_until": "2001-01-01T00:00:00Z"}, "has passed"),
        ({"state": "open", "muted_until": "2101-01-01T00:00:00Z"}, "leave it out"),
        ({"state": "open", "by": "me"}, "by"),
        ([], ""),
    ],
)
def test_bad_changes_name_the_field(service: Service, base: str, body: Any, told: str) -> None:
    fail(service, "milk")
    [found] = service.client.get(base).json["data"]
    answered = service.client.patch(f"{base}/{found['id']}", json=body)
    assert answered.status_code == 400
    assert told in answered.json["error"]
    assert service.client.get(base).json["data"] == [found]


@BOTH
def test_what_is_tried_again_is_told_before_it_fails(service: Service, base: str) -> None:
    assert service.client.get(f"{base}/retrying").json == {"data": [], "has_more": False}
    engine = service.engine
    error = {"name": "ConnectionError", "message": "no route to 10.0.0.7"}
    engine.sdk.script = lambda request, target: reply(500, error)
    run_id = engine.start()
    engine.drain()
    for query in ("", "?function=app-fn", "?app=app", "?function=app-fn&app=app"):
        [found] = service.client.get(f"{base}/retrying{query}").json["data"]
        assert (found["function"], found["app"], found["step"]) == ("app-fn", "app", None)
        assert (found["name"], found["message"]) == ("ConnectionError", "no route to 10.0.0.7")
        assert (found["runs"], found["latest_run_id"], found["state"]) == (1, run_id, None)
        assert found["next_attempt_at"] > engine.now.isoformat()[:19]
    assert service.client.get(f"{base}/retrying?function=nobody").json["data"] == []


@BOTH
def test_unknown_errors_are_not_found(service: Service, base: str) -> None:
    for act in (service.client.get, service.client.patch):
        answered = act(f"{base}/{'0' * 26}", json={"state": "open"})
        assert answered.status_code == 404
        assert "does not exist" in answered.json["error"]


@BOTH
def test_routes_need_the_signing_key(service: Service, base: str) -> None:
    client = service.with_settings(dev=False, signing_key="signkey-prod-00")
    assert client.get(base).status_code == 401
    assert client.patch(f"{base}/{'0' * 26}", json={"state": "open"}).status_code == 401
