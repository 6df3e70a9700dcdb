"""`/v1/event-types`: names of events, and what their payloads have in common."""

from datetime import timedelta

from tests.api.conftest import Service


def test_event_types_are_listed_and_shown(service: Service) -> None:
    engine, client = service.engine, service.client
    assert client.get("/v1/event-types").json == {"data": [], "has_more": False}
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
