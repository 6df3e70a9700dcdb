"""/v2 over both databases: shapes, paging, conflicts, errors."""

import threading
from datetime import timedelta
from typing import Any

import orjson
import pytest

from inngest_py.domain.reply.read import Reply
from inngest_py.storage.db.session import Database
from tests.api.conftest import Service
from tests.factories import NOW, RUN_ID, op, reply, step


def get(service: Service, path: str, status: int = 200) -> Any:
    answered = service.client.get(f"/v2{path}")
    assert answered.status_code == status, answered.text
    return answered.json


def post(service: Service, path: str, body: Any = None, status: int = 200) -> Any:
    answered = service.client.post(f"/v2{path}", data=b"" if body is None else orjson.dumps(body))
    assert answered.status_code == status, answered.text
    return answered.json


def register(service: Service, *functions: dict[str, Any]) -> None:
    url = "http://localhost:1/api/inngest"
    runtime = {"type": "http", "url": f"{url}?fnId=x&stepId=step"}
    steps = {"step": {"id": "step", "name": "step", "runtime": runtime}}
    payload = {
        "appName": "app",
        "url": url,
        "functions": [{**function, "steps": steps} for function in functions],
    }
    answered = service.client.post("/fn/register", json=payload)
    assert answered.status_code == 200, answered.text


def code(answered: Any) -> str:
    (error,) = answered["errors"]
    assert error["message"]
    return str(error["code"])


@pytest.mark.parametrize("prefix", ["/v2", "/api/v2"])
def test_health_and_what_is_not_there(lasting: Service, prefix: str) -> None:
    healthy = lasting.client.get(f"{prefix}/health").json
    assert healthy["data"] == {"status": "ok"}
    assert list(healthy["metadata"]) == ["fetchedAt"]
    for method, path, status, wanted in [
        ("GET", "/nothing", 404, "api_error"),
        ("GET", "/runs/x/y/z", 404, "api_error"),
        ("PUT", "/runs", 405, "api_error"),
        ("GET", "/account", 501, "not_implemented"),
        ("POST", "/partner/accounts", 501, "not_implemented"),
        ("PATCH", "/envs/x", 501, "not_implemented"),
        ("POST", "/env/webhooks", 501, "not_implemented"),
        ("POST", "/insights/query", 501, "not_implemented"),
        ("GET", "/experiments", 501, "not_implemented"),
    ]:
        answered = lasting.client.open(prefix + path, method=method)
        assert (answered.status_code, code(answered.json)) == (status, wanted), path
    message = lasting.client.get(f"{prefix}/nothing").json["errors"][0]["message"]
    assert message == "Not Found"


def test_a_run(service: Service) -> None:
    engine = service.engine
    run_id = engine.start(data={"zero": 0})
    shown = get(service, f"/runs/{run_id}")["data"]
    assert shown["status"] == "QUEUED"
    assert "startedAt" not in shown
    engine.drain()
    shown = get(service, f"/runs/{run_id}?includeOutput=true")["data"]
    assert shown["id"] == run_id
    assert shown["function"] == {"id": "fn", "name": "fn", "app": {"id": "app"}}
    assert shown["status"] == "COMPLETED"
    assert shown["output"] == {"done": 2}
    assert shown["durationMs"] == "0"
    assert shown["trigger"] == {"eventIds": [engine.run(run_id)["event_id"]], "eventName": "a/b"}
    assert "output" not in get(service, f"/runs/{run_id}")["data"]
    assert code(get(service, f"/runs/{RUN_ID}", 404)) == "not_found"
    assert code(get(service, "/runs/x", 400)) == "invalid_field_format"


def test_lists_of_runs(service: Service) -> None:
    engine = service.engine
    ids = []
    for _ in range(5):
        ids.append(engine.start())
        engine.now += timedelta(seconds=1)
    engine.drain()
    last = engine.start()

    def walk(query: str) -> list[str]:
        found: list[str] = []
        cursor = ""
        while True:
            page = get(service, f"/runs?limit=2{query}{cursor}")
            found += [run["id"] for run in page.get("data", [])]
            assert page["page"]["limit"] == 2
            if not page["page"].get("hasMore"):
                assert "cursor" not in page["page"]
                return found
            cursor = f"&cursor={page['page']['cursor']}"

    assert walk("") == [last, *reversed(ids)]
    assert walk("&order=asc") == [*ids, last]
    assert walk("&status=COMPLETED&order=asc") == ids
    assert walk("&status[]=QUEUED&status[]=FAILED") == [last]
    assert sorted(walk("&timeField=endedAt")) == sorted([*ids, last])
    assert sorted(walk("&time_field=startedAt&order=asc")) == sorted([*ids, last])
    second, fourth = (NOW + timedelta(seconds=n) for n in (1, 3))
    span = f"&from={second:%Y-%m-%dT%H:%M:%SZ}&until={fourth:%Y-%m-%dT%H:%M:%SZ}"
    assert walk(span) == [ids[2], ids[1]]
    assert walk("&appId=app&functionId=fn") == walk("")
    assert walk("&appId=app&functionId=none") == []
    assert walk("&isDeferred=true") == []
    event_id = engine.run(last)["event_id"]
    assert [run["id"] for run in get(service, f"/events/{event_id}/runs")["data"]] == [last]
    listed = get(service, "/apps/app/functions/fn/runs?includeOutput=1&status=COMPLETED")
    assert [run["output"] for run in listed["data"]] == [{"done": 2}] * 5


@pytest.mark.parametrize(
    ("query", "status", "wanted"),
    [
        ("limit=0", 400, "invalid_field_format"),
        ("limit=101", 400, "invalid_field_format"),
        ("limit=x", 400, "invalid_field_format"),
        ("order=up", 400, "invalid_field_format"),
        ("timeField=now", 400, "invalid_field_format"),
        ("status=GONE", 400, "invalid_field_format"),
        ("from=today", 400, "invalid_field_format"),
        ("isDeferred=maybe", 400, "invalid_field_format"),
        ("functionId=fn", 400, "missing_field"),
        ("appId=none", 404, "not_found"),
        ("cursor=x", 400, "invalid_field_format"),
        ("cursor=WzEsMl0", 400, "invalid_field_format"),
        ("cursor=WyJhIiwiYiJd", 400, "invalid_field_format"),
        ("cursor=WyIyMDI2LTAxLTAxIiwiYiJd", 400, "invalid_field_format"),
    ],
)
def test_bad_lists(lasting: Service, query: str, status: int, wanted: str) -> None:
    assert code(get(lasting, f"/runs?{query}", status)) == wanted


def test_cancel_and_rerun(service: Service) -> None:
    run_id = service.engine.start()
    assert post(service, f"/runs/{run_id}/cancel")["data"] == {"runId": run_id}
    assert code(post(service, f"/runs/{run_id}/cancel", None, 409)) == "run_already_cancelled"
    new = post(service, f"/runs/{run_id}/rerun")["data"]["runId"]
    service.engine.drain()
    assert code(post(service, f"/runs/{new}/cancel", None, 409)) == "run_already_ended"
    assert code(post(service, f"/runs/{RUN_ID}/cancel", None, 404)) == "not_found"
    again = {"from_step": {"step_id": "two", "input": [5]}}
    third = post(service, f"/runs/{new}/rerun", again)["data"]["runId"]
    service.engine.drain()
    assert service.engine.sdk.requests[-1]["steps"][step("two")] == {"input": [5]}
    assert get(service, f"/runs/{third}")["data"]["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ([], "invalid_field_format"),
        ({"fromStep": 5}, "invalid_field_format"),
        ({"fromStep": {"input": []}}, "missing_field"),
        ({"fromStep": {"stepId": "none"}}, "invalid_request"),
        ({"fromStep": {"stepId": "one", "input": {}}}, "invalid_field_format"),
    ],
)
def test_bad_reruns(lasting: Service, body: Any, wanted: str) -> None:
    run_id = lasting.engine.start()
    lasting.engine.drain()
    answered = lasting.client.post(f"/v2/runs/{run_id}/rerun", json=body)
    assert (answered.status_code, code(answered.json)) == (400, wanted)
    unknown = lasting.client.post(f"/v2/runs/{RUN_ID}/rerun")
    assert (unknown.status_code, code(unknown.json)) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({}, "missing_field"),
        ({"name": 5}, "invalid_field_format"),
        ({"name": "x" * 513}, "invalid_field_format"),
        ({"name": "inngest/x"}, "invalid_field_format"),
        ({"name": "x", "data": []}, "validation_error"),
        ({"name": "x", "ts": 5}, "validation_error"),
    ],
)
def test_bad_events(lasting: Service, body: Any, wanted: str) -> None:
    answered = lasting.client.post("/v2/events", json=body)
    assert (answered.status_code, code(answered.json)) == (400, wanted)


def test_an_event(service: Service) -> None:
    body = {"name": "a/b", "data": {"n": 0}, "id": "own", "ts": 1_700_000_000_000}
    event_id = post(service, "/events", body)["data"]["eventId"]
    (run,) = get(service, f"/events/{event_id}/runs")["data"]
    assert run["trigger"]["eventIds"] == [event_id]
    assert code(get(service, f"/events/{RUN_ID}/runs", 404)) == "not_found"
    shown = service.client.get(f"/v1/events/{event_id}").json["data"]
    assert (shown["id"], shown["data"]) == ("own", {"n": 0})


def test_invoke(service: Service) -> None:
    url = "/apps/app/functions/fn/invoke"
    first = post(service, url, {"data": {"n": 1}, "idempotency_key": "k"})["data"]
    assert list(first) == ["runId", "queuedAt"]
    thread = threading.Thread(target=service.engine.drain)
    thread.start()
    done = post(service, f"{url}?wait=20")["data"]
    thread.join()
    service.engine.drain()
    answered = post(service, url, {"idempotencyKey": "k"}, 409)
    assert code(answered) == "idempotency_conflict"
    assert first["runId"] in answered["errors"][0]["message"]
    shown = get(service, f"/runs/{done['runId']}?includeOutput=true")["data"]
    assert shown["output"] == {"done": 2}
    for bad, status in [({"data": []}, 400), ({"idempotencyKey": 5}, 400), ([1], 400)]:
        post(service, url, bad, status)
    assert code(post(service, f"{url}?wait=-1", None, 400)) == "invalid_field_format"
    assert code(post(service, "/apps/app/functions/none/invoke", None, 404)) == "not_found"
    assert code(post(service, "/apps/none/functions/fn/invoke", None, 404)) == "not_found"


def test_invoke_waits_for_the_result(service: Service) -> None:
    stop = threading.Event()

    def worker() -> None:
        while not stop.wait(0.01):
            service.engine.drain()

    thread = threading.Thread(target=worker)
    thread.start()
    try:
        url = "/apps/app/functions/fn/invoke?wait=30s"
        done = post(service, url, {"data": {}})["data"]
        assert done["result"] == {"done": 2}
        assert done["completedAt"]
        service.engine.sdk.script = _broken
        failed = post(service, url)["data"]
        assert failed["error"]["message"] == "bad"
        assert "result" not in failed
    finally:
        stop.set()
        thread.join()


def _broken(request: dict[str, Any], target: str) -> Reply:
    return reply(400, {"name": "E", "message": "bad"}, x_inngest_no_retry="true")


BIG: tuple[dict[str, Any], ...] = (
    {
        "id": "app-big",
        "name": "Big",
        "triggers": [{"event": "x", "expression": "event.data.a == 1"}, {"cron": "0 1 * * *"}],
        "cancel": [{"event": "stop", "timeout": "1h", "if": "async.data.a == event.data.a"}],
        "concurrency": [{"limit": 3, "key": "event.data.k"}],
        "rateLimit": {"limit": 1, "period": "1m"},
        "debounce": {"period": "10s"},
        "throttle": {"limit": 2, "period": "1s"},
        "singleton": {"mode": "skip"},
    },
    {
        "id": "app-big-failure",
        "name": "Big (failure)",
        "triggers": [{"event": "inngest/function.failed"}],
    },
)


def test_apps_and_functions(db: Database) -> None:
    service = Service(db)
    register(service, *BIG)
    (app,) = get(service, "/apps")["data"]
    assert (app["id"], app["method"], app["functionCount"]) == ("app", "SERVE", 2)
    assert app["latestSync"]["status"] == "SUCCESS"
    assert get(service, "/apps/app")["data"] == app
    assert "data" not in get(service, "/apps?archived=true")
    assert code(get(service, "/apps/none", 404)) == "not_found"
    big = get(service, "/apps/app/functions/big")["data"]
    assert get(service, "/apps/app/functions/app-big")["data"] == big
    assert (big["id"], big["slug"], big["app"]) == ("big", "big", {"id": "app"})
    assert big["failureHandler"] == {"slug": "big-failure", "name": "Big (failure)"}
    assert big["triggers"] == [
        {"type": "EVENT", "value": "x", "if": "event.data.a == 1"},
        {"type": "CRON", "value": "0 1 * * *"},
    ]
    shown = big["configuration"]
    assert shown["retries"] == {"value": 4, "isDefault": True}
    assert shown["cancellations"] == [
        {"event": "stop", "timeout": "3600s", "condition": "async.data.a == event.data.a"}
    ]
    assert shown["concurrency"] == [
        {"scope": "FUNCTION", "limit": {"value": 3}, "key": "event.data.k"}
    ]
    assert shown["rateLimit"] == {"limit": 1, "period": "60s"}
    assert shown["debounce"] == {"period": "10s"}
    assert shown["throttle"] == {"limit": 2, "period": "1s"}
    assert shown["singleton"] == {"mode": "SKIP"}
    page = get(service, "/apps/app/functions?limit=1")
    rest = get(service, f"/apps/app/functions?limit=1&cursor={page['page']['cursor']}")
    assert [item["id"] for item in (*page["data"], *rest["data"])] == ["big", "big-failure"]
    archived = get(service, "/apps/app/functions?archived=true")["data"]
    assert [(item["id"], item["isArchived"]) for item in archived] == [("fn", True)]
    assert code(get(service, "/apps/app/functions/none", 404)) == "not_found"


def test_keys(db: Database) -> None:
    service = Service(db)
    asked = {"event_keys": ("first-key", "second"), "signing_key": "abcd"}
    production = service.with_settings(dev=False, **asked)
    headers = {"Authorization": "Bearer abcd"}
    found = production.get("/v2/keys/events?limit=1", headers=headers).json
    assert found["data"][0]["key"] == "first-key"
    cursor = found["page"]["cursor"]
    rest = production.get(f"/v2/keys/events?cursor={cursor}", headers=headers).json
    assert [key["key"] for key in rest["data"]] == ["second"]
    assert production.get("/v2/keys/events").status_code == 401
    signing = production.get("/v2/keys/signing", headers=headers).json["data"]
    assert [key["key"] for key in signing] == ["abcd"]
    open_to_all = service.with_settings(dev=True, **asked)
    masked = open_to_all.get("/v2/keys/events").json["data"]
    assert [key["key"] for key in masked] == ["firs…", "seco…"]


def test_scores_and_the_trace(service: Service) -> None:
    engine = service.engine
    run_id = engine.start()
    engine.drain()
    scores = [
        {"name": "speed", "value": 0},
        {"name": "ok", "value": True, "step_id": "one"},
        {"name": "e", "value": 0.5, "experiment": {"id": "x", "variant": "y"}},
    ]
    answered = post(service, f"/runs/{run_id}/scores", {"scores": scores})
    assert answered["data"][0] == {"name": "speed", "value": 0}
    assert answered["data"][1] == {"name": "ok", "value": True, "stepId": "one"}
    assert answered["data"][2] == scores[2]
    found = get(service, f"/runs/{run_id}/trace?includeOutput=true")["data"]
    assert found["runId"] == run_id
    root = found["rootSpan"]
    assert (root["name"], root["status"]) == ("Run", "COMPLETED")
    [scored] = root["metadata"]
    experiment = {"value": 0.5, "experiment": {"id": "x", "variant": "y"}}
    assert scored["values"] == {"speed": {"value": 0}, "e": experiment}
    one, two, last = root["children"]
    assert (one["name"], one["stepOp"], one["stepId"]) == ("one", "RUN", step("one"))
    assert (one["output"], two["output"]) == (0, 1)
    assert one["metadata"][0]["values"] == {"ok": {"value": True}}
    assert (last["name"], last["output"]) == ("Finalization", {"done": 2})
    for bad in ({"name": "n"}, {"value": 1}, {"name": "n", "value": "x"}, 5):
        post(service, f"/runs/{run_id}/scores", {"scores": [bad]}, 400)
    assert code(post(service, f"/runs/{run_id}/scores", {"scores": []}, 400)) == "missing_field"
    assert code(post(service, f"/runs/{RUN_ID}/scores", {"scores": scores}, 404)) == "not_found"


def test_the_trace_of_a_failure(service: Service) -> None:
    def script(request: dict[str, Any], target: str) -> Reply:
        if step("a") in request["steps"]:
            return reply(400, {"name": "E", "message": "bad"}, x_inngest_no_retry="true")
        error = {"name": "E", "message": "m"}
        return reply(206, [op("StepError", "a", error=error)])

    service.engine.sdk.script = script
    run_id = service.engine.start()
    service.engine.drain()
    a = get(service, f"/runs/{run_id}/trace")["data"]["rootSpan"]["children"][0]
    assert "output" not in a
    for _ in range(3):
        service.engine.advance(seconds=10)
    root = get(service, f"/runs/{run_id}/trace?include_output=true")["data"]["rootSpan"]
    assert root["status"] == "FAILED"
    a = root["children"][0]
    assert [child["name"] for child in a["children"]] == ["Attempt 0", "Attempt 1", "Attempt 2"]
    assert a["output"] == {"name": "E", "message": "m"}
    assert code(get(service, f"/runs/{RUN_ID}/trace", 404)) == "not_found"


def test_syncs(service: Service) -> None:
    service.engine.sdk.pinged = reply(200, {"ok": True})
    body = {"url": "http://localhost:1/api/inngest"}
    done = post(service, "/apps/app/syncs", body)["data"]
    assert (done["status"], done["appId"]) == ("SUCCESS", "app")
    assert "error" not in done
    other = post(service, "/apps/other/syncs", body)["data"]
    assert (other["status"], other["error"]["code"]) == ("ERROR", "app_sync_failed")
    service.engine.sdk.pinged = reply(404)
    lost = post(service, "/apps/app/syncs", body)["data"]
    assert (lost["status"], lost["error"]["code"]) == ("ERROR", "url_not_found")
    assert get(service, "/apps/app")["data"]["latestSync"]["error"] == "url_not_found"
    assert code(post(service, "/apps/app/syncs", {"url": "ftp://x"}, 400))
    assert code(post(service, "/apps/app/syncs", {}, 400)) == "missing_field"
