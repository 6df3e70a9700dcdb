"""Events in: `/e`, `/invoke` and `/api/v1/events` (protocol: events.md §1-§5)."""

import base64
import json
from typing import Any

import pytest

from inngest_py.domain.limits import MAX_EVENT_BYTES
from inngest_py.domain.values import ids
from tests.api.conftest import Service
from tests.engine.harness import stored_runs

NOT_EVENTS = "Request body must contain an event object or an array of event objects"
SEED = f"1700000000000,{base64.b64encode(b'0123456789').decode()}"


def stored(service: Service) -> list[dict[str, Any]]:
    return service.client.get("/v1/events?limit=51").json["data"]


def runs_of(service: Service, event_id: str) -> list[dict[str, Any]]:
    return service.client.get(f"/v1/events/{event_id}/runs").json["data"]


def test_one_event_is_stored_and_starts_its_run(service: Service) -> None:
    answered = service.send({"name": "a/b", "data": {"n": 1}, "user": {"id": 7}, "v": "2"})
    assert answered.status_code == 200
    assert answered.mimetype == "application/json"
    assert answered.json.keys() == {"ids", "status"}
    assert answered.json["status"] == 200
    [event_id] = answered.json["ids"]
    assert ids.is_ulid(event_id)
    [event] = stored(service)
    assert (event["id"], event["internal_id"]) == (event_id, event_id)
    assert (event["data"], event["user"], event["v"]) == ({"n": 1}, {"id": 7}, "2")
    assert event["ts"] == int(service.engine.now.timestamp() * 1000)
    assert [run["status"] for run in runs_of(service, event_id)] == ["Scheduled"]


def test_an_array_is_answered_in_its_order(service: Service) -> None:
    sent = [{"name": f"n/{n}"} for n in range(5)]
    answered = service.send(sent).json
    assert answered["status"] == 200
    by_id = {event["internal_id"]: event["name"] for event in stored(service)}
    assert [by_id[event_id] for event_id in answered["ids"]] == [item["name"] for item in sent]


@pytest.mark.parametrize("body", [b"[]", b"", b"  \n"])
def test_empty_body_is_no_error(lasting: Service, body: bytes) -> None:
    answered = lasting.client.post("/e/key", data=body)
    assert (answered.status_code, answered.json) == (200, {"ids": [], "status": 200})


def test_the_content_type_does_not_matter(service: Service) -> None:
    body = b'{"name":"a/b"}'
    for mimetype in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert service.client.post("/e/key", data=body, content_type=mimetype).status_code == 200


def test_seeded_retry_gives_the_same_ids_and_starts_nothing(service: Service) -> None:
    headers = {"x-inngest-event-id-seed": SEED}
    first = service.send([{"name": "a/b"}, {"name": "a/b"}], headers=headers).json
    assert first["ids"] == [ids.seeded(SEED, 1), ids.seeded(SEED, 2)]
    assert service.send([{"name": "a/b"}, {"name": "a/b"}], headers=headers).json == first
    assert len(stored(service)) == 2
    assert [len(runs_of(service, event_id)) for event_id in first["ids"]] == [1, 1]


@pytest.mark.parametrize("seed", ["", "x", "1,2", "-5,AAAAAAAAAAAAAA==", SEED + "x", "9" * 5000])
def test_a_malformed_seed_is_ignored(lasting: Service, seed: str) -> None:
    headers = {"x-inngest-event-id-seed": seed}
    first = lasting.send({"name": "a/b"}, headers=headers).json
    assert first["status"] == 200
    assert lasting.send({"name": "a/b"}, headers=headers).json["ids"] != first["ids"]


def test_an_id_starts_a_function_once(service: Service) -> None:
    first, second = (service.send({"name": "a/b", "id": "order-1"}).json["ids"] for _ in "12")
    assert first != second
    assert [event["id"] for event in stored(service)] == ["order-1", "order-1"]
    assert [len(runs_of(service, found)) for [found] in (first, second)] == [1, 0]


def test_forms_are_refused(service: Service) -> None:
    answered = service.client.post("/e/key", data={"name": "a/b"})
    assert answered.status_code == 400
    assert answered.json["ids"] == [""]
    assert answered.json["status"] == 400
    assert "form" in answered.json["error"]


def test_an_event_over_the_limit_is_refused(service: Service) -> None:
    event = {"name": "a/b", "data": {"text": "x" * MAX_EVENT_BYTES}}
    for sent in (event, [event]):
        answered = service.send(sent)
        assert (answered.status_code, answered.json["ids"]) == (400, [""])
        assert answered.json["error"].startswith(
            f"Event is over the max size: Max {MAX_EVENT_BYTES} bytes / Size 31457"
        )


def test_5001_events_are_one_too_many_and_5000_are_kept(service: Service) -> None:
    answered = service.send([{"name": "x"}] * 5001)
    assert answered.status_code == 400
    assert answered.json["error"] == "Cannot have more than 5000 events in a batch"
    assert len(set(answered.json["ids"])) == 5000
    last = answered.json["ids"][-1]
    assert service.client.get(f"/v1/events/{last}").json["data"]["name"] == "x"


@pytest.mark.parametrize("bad", [{"name": ""}, {"name": "x", "ts": "now"}, 5, None, [], "text"])
def test_events_before_a_bad_one_are_accepted(lasting: Service, bad: Any) -> None:
    before = stored(lasting)
    answered = lasting.send([{"name": "a/b"}, {"name": "c"}, bad, {"name": "d"}])
    assert answered.status_code == 400
    assert answered.json.keys() == {"ids", "status", "error"}
    added = [event for event in stored(lasting) if event not in before]
    assert sorted(event["name"] for event in added) == ["a/b", "c"]
    assert sorted(answered.json["ids"]) == sorted(event["internal_id"] for event in added)
    assert len(runs_of(lasting, answered.json["ids"][0])) == 1


REFUSED = [
    ({"name": "inngest/x"}, "event name is reserved for internal use: inngest/x"),
    ({"name": "INNGEST/x"}, "event name is reserved for internal use: INNGEST/x"),
    ({}, "event name is empty"),
    ({"name": "", "data": {}}, "event name is empty"),
    ({"name": "x", "ts": 1}, "timestamp is before the year 1980"),
    ({"name": "x", "ts": -1}, "timestamp is before the year 1980"),
    ({"name": "x", "ts": 5_000_000_000_000}, "timestamp is after the year 2100"),
    ({"name": "x", "ts": 10**40}, "timestamp is after the year 2100"),
    ({"name": "x", "ts": "2024"}, "event ts must be an integer"),
    ({"name": "x", "ts": True}, "event ts must be an integer"),
    ({"name": "x", "ts": 1_700_000_000_000.5}, "event ts must be an integer"),
    ({"name": 5}, "event name must be a string"),
    ({"name": "x", "data": []}, "event data must be an object"),
    ({"name": "x", "data": "text"}, "event data must be an object"),
    ({"name": "x", "user": [1]}, "event user must be an object"),
    ({"name": "x", "id": 5}, "event id must be a string"),
    ({"name": "x", "v": {}}, "event v must be a string"),
    ({"name": "x", "meta": 1}, "event meta must be an object"),
    ({"name": "x\0"}, "event name holds a NUL character"),
    ({"name": "x", "id": "\0"}, "event id holds a NUL character"),
    ("text", NOT_EVENTS),
    (5, NOT_EVENTS),
    (None, NOT_EVENTS),
]


@pytest.mark.parametrize(("payload", "message"), REFUSED)
def test_error_says_what_is_wrong(lasting: Service, payload: Any, message: str) -> None:
    answered = lasting.client.post("/e/key", data=json.dumps(payload))
    assert answered.status_code == 400
    assert answered.json["ids"] == [""]
    assert answered.json["status"] == 400
    assert answered.json["error"].startswith(message)


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"nul", b'{"name":"x"} trailing'])
def test_bad_json_is_refused(lasting: Service, body: bytes) -> None:
    answered = lasting.client.post("/e/key", data=body)
    assert (answered.status_code, answered.json["ids"]) == (400, [""])
    assert answered.json["error"].startswith("this is not JSON")


def test_text_that_databases_refuse_is_kept_in_data(service: Service) -> None:
    [event_id] = service.client.post(
        "/e/key", data=rb'{"name":"x","data":{"a\u0000":"\u0000","half":"\ud800"}}'
    ).json["ids"]
    shown = service.client.get(f"/v1/events/{event_id}").json["data"]
    assert shown["data"] == {"a\0": "\0", "half": "\N{REPLACEMENT CHARACTER}"}


def test_browsers_may_send_from_any_origin(service: Service) -> None:
    asked = {"Origin": "https://a.test", "Access-Control-Request-Headers": "x-one, x-two"}
    for path in ("/e/key", "/invoke/app-fn", "/health"):
        answered = service.client.options(path, headers=asked)
        assert answered.status_code == 200
        assert answered.headers["Access-Control-Allow-Origin"] == "*"
        assert answered.headers["Access-Control-Allow-Headers"] == "x-one, x-two"
        assert answered.headers["Access-Control-Max-Age"] == "3600"
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            assert method in answered.headers["Access-Control-Allow-Methods"]
    answered = service.send({"name": ""})
    assert answered.headers["Access-Control-Allow-Origin"] == "*"
    assert answered.headers["Access-Control-Expose-Headers"] == "Link"


def test_get_of_events_is_refused(service: Service) -> None:
    answered = service.client.get("/e/key")
    assert answered.status_code == 405
    assert answered.json.keys() == {"ids", "status", "error"}
    assert answered.json["status"] == 405
    assert "POST" in answered.headers["Allow"]


def test_keys_are_checked_in_production_only(service: Service) -> None:
    keys = ("right", "other/ü")
    client = service.with_settings(dev=False, event_keys=keys)
    refused = {"status": 401, "message": "", "error": "Event key not found"}
    for key in ("wrong", "righ", "right2", "right/", "ü", "%FF"):
        answered = client.post(f"/e/{key}", json={"name": "a/b"})
        assert (answered.status_code, answered.json) == (401, refused)
        assert answered.mimetype == "application/json"
    assert stored(service) == []
    for key in keys:
        assert client.post(f"/e/{key}", json={"name": "a/b"}).status_code == 200
    in_dev = service.with_settings(dev=True, event_keys=keys)
    assert in_dev.post("/e/NO_EVENT_KEY_SET", json={"name": "a/b"}).status_code == 200


def test_an_invocation_runs_the_function_it_names(service: Service) -> None:
    answered = service.client.post("/invoke/app-fn", json={"data": {"n": 1}})
    assert answered.status_code == 200
    assert answered.json.keys() == {"id", "status"}
    assert len(runs_of(service, answered.json["id"])) == 1
    event = service.client.get(f"/v1/events/{answered.json['id']}").json["data"]
    assert event["name"] == "inngest/function.invoked"
    assert event["data"]["n"] == 1
    assert event["data"]["_inngest"]["fn_id"] == "app-fn"
    assert stored(service) == []
    assert service.client.post("/invoke/app-fn").status_code == 200


@pytest.mark.parametrize("slug", ["nobody", "app-fn/x"])
def test_invocation_of_an_unknown_function_is_not_found(service: Service, slug: str) -> None:
    answered = service.client.post(f"/invoke/{slug}", json={})
    assert (answered.status_code, answered.json["status"]) == (404, 404)
    assert slug in answered.json["error"]
    assert stored(service) == []


def test_an_archived_function_cannot_be_invoked(service: Service) -> None:
    [app] = service.client.get("/api/v1/apps").json["data"]
    service.client.delete("/fn/remove", query_string={"url": app["url"]})
    assert service.client.post("/invoke/app-fn", json={}).status_code == 404


SIGNING = "signkey-prod-0123456789abcdef"


@pytest.mark.parametrize(
    ("invoke_keys", "sent", "status"),
    [
        ((), "Bearer k", 200),
        ((), "bearer  l", 200),
        ((), f"Bearer {SIGNING}", 200),
        ((), None, 401),
        ((), "k", 401),
        ((), "Bearer ", 401),
        ((), "Bearer x", 401),
        ((), "Basic k", 401),
        (("own",), "Bearer own", 200),
        (("own",), "Bearer k", 401),
        (("own",), f"Bearer {SIGNING}", 200),
        (("off",), f"Bearer {SIGNING}", 404),
        (("off",), "Bearer off", 404),
        (("OFF",), "Bearer OFF", 404),
    ],
)
def test_production_asks_for_a_key_to_invoke(
    service: Service, invoke_keys: tuple[str, ...], sent: str | None, status: int
) -> None:
    client = service.with_settings(
        dev=False, event_keys=("k", "l"), signing_key=SIGNING, invoke_keys=invoke_keys
    )
    headers = {} if sent is None else {"Authorization": sent}
    answered = client.post("/invoke/app-fn", json={}, headers=headers)
    assert answered.status_code == status, answered.text
    if status != 200:
        assert (answered.json["status"], answered.json["ids"]) == (status, [])
        assert "invoke" in answered.json["error"].lower()
        with service.engine.ctx.db.reading() as tx:
            assert stored_runs(tx) == []


def test_a_dev_server_asks_for_no_key_but_may_be_closed(service: Service) -> None:
    client = service.with_settings(dev=True, event_keys=("k",), invoke_keys=("own",))
    assert client.post("/invoke/app-fn", json={}).status_code == 200
    closed = service.with_settings(dev=True, invoke_keys=("off",))
    assert closed.post("/invoke/app-fn", json={}).status_code == 404


def test_a_bad_invocation_is_refused(service: Service) -> None:
    for body in (b"{", b"[]", b"5", b'{"data":5}', b'{"ts":1}'):
        answered = service.client.post("/invoke/app-fn", data=body)
        assert answered.status_code == 400
        assert answered.json.keys() == {"ids", "status", "error"}
        assert answered.json["status"] == 400


def test_native_api_accepts_events(service: Service) -> None:
    answered = service.client.post("/api/v1/events", json=[{"name": "a/b"}, {"name": "c"}])
    assert answered.status_code == 200
    assert len(answered.json["data"]["ids"]) == 2
    refused = service.client.post("/api/v1/events", json=[{"name": "a/b"}, {"name": ""}])
    assert refused.status_code == 400
    assert (refused.json["error"], refused.json["status"]) == ("event name is empty", 400)
    assert len(refused.json["data"]["ids"]) == 1
    assert service.client.post("/api/v1/events", json=[]).status_code == 400
