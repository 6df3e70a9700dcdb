"""`/v1/event-types`: names of events, and what their payloads have in common."""

from datetime import timedelta

import pytest

from inngest_py.storage.queries.reports import event_names
from tests.api.conftest import Service


def test_event_types_are_listed_and_shown(service: Service) -> None:
    engine, client = service.engine, service.client
    assert client.get("/v1/event-types").json == {
        "data": [],
        "cursor": None,
        "has_more": False,
        "is_complete": True,
    }
    for n in range(2):
        engine.now += timedelta(seconds=1)
        engine.start(data={"n": n} | ({"note": "x"} if n else {}))
    engine.drain()
    for path in ("/v1/event-types", "/api/v1/event-types"):
        [listed] = client.get(path).json["data"]
        assert (listed["name"], listed["events_24h"]) == ("a/b", 2)
        assert listed["functions"] == ["app-fn"]
        own = [one["name"] for one in client.get(f"{path}?internal=true").json["data"]]
        assert "inngest/function.finished" in own
        assert client.get(f"{path}?limit=0").status_code == 400
        shown = client.get(f"{path}/a/b").json["data"]
        assert shown["last_event_id"] == listed["last_event_id"]
        assert shown["inferred_from"] == 2
        assert shown["last_payload"]["data"] == {"n": 1, "note": "x"}
        n, note = shown["fields"]
        assert n == {"path": "n", "types": ["integer"], "optional": False, "samples": ["1", "0"]}
        assert (note["path"], note["types"], note["optional"]) == ("note", ["string"], True)
        assert client.get(f"{path}/none").status_code == 404


def send(service: Service, *names: str) -> None:
    """Send events one after another."""
    for name in names:
        service.engine.now += timedelta(milliseconds=5)  # ids of one moment have no order
        sent = service.client.post("/e/key", json={"name": name})
        assert sent.status_code == 200, sent.text


def pages(service: Service, query: str) -> list[list[str]]:
    """Read all pages of names; between them, an event of the last and of a new name comes."""
    found, cursor = [], ""
    while True:
        answer = service.client.get(f"/v1/event-types?{query}{cursor}").json
        found.append([one["name"] for one in answer["data"]])
        assert answer["has_more"] == (answer["cursor"] is not None)
        if answer["cursor"] is None:
            return found
        cursor = f"&cursor={answer['cursor']}"
        send(service, "c", "new")


def test_event_types_are_listed_page_by_page(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(service, "c", "a", "e", "b", "d")
    assert pages(service, "limit=2") == [["d", "b"], ["e", "a"], ["c"]]
    assert pages(service, "limit=2&order=name") == [["a", "b"], ["c", "d"], ["e", "new"]]
    monkeypatch.setattr(event_names, "MOST_NAMES", 3)
    assert pages(service, "limit=2") == [["c", "b"], ["a"]]  # of the first three names
    assert not service.client.get("/v1/event-types").json["is_complete"]
    by_name = pages(service, "limit=2&order=name")
    assert by_name == [["a", "b"], ["c", "d"], ["e", "new"]]
    last_seen = service.client.get("/v1/event-types?limit=1").json["cursor"]
    for query in (f"order=name&cursor={last_seen}", "cursor=x"):
        refused = service.client.get(f"/v1/event-types?{query}")
        assert refused.status_code == 400
        assert "leave `cursor` out to begin again" in refused.text
