"""Every query of the document, over the rows of finished runs (protocol: api.md §5)."""

import json
from datetime import timedelta
from typing import Any

import pytest
from graphql import parse, validate

from inngest_py.api.graphql.server import SCHEMA
from inngest_py.domain.connect.actions import Status
from inngest_py.domain.values.ids import DEV_ENV_ID
from inngest_py.engine.admin import rerun
from inngest_py.storage.catalog import connections
from tests.api.conftest import Service
from tests.api.gql import QUERIES, SINCE, ask, post, refused
from tests.engine.test_crons import EVERY, pass_time, sync
from tests.factories import reply

UNKNOWN = "01JD0000000000000000000000"
UNKNOWN_UUID = "00000000-0000-4000-a000-000000000009"


@pytest.fixture
def run(service: Service) -> str:
    """A run of two steps that has completed."""
    run_id = service.engine.start(data={"n": 1}, id="own", ts=1_700_000_000_000)
    service.engine.drain()
    return run_id


@pytest.mark.parametrize("name", QUERIES)
def test_every_field_of_the_document_is_in_the_schema(name: str) -> None:
    assert validate(SCHEMA, parse(QUERIES[name])) == []


def test_a_run_in_all_its_shapes(service: Service, run: str) -> None:
    function = service.function_of("app", "app-fn")["internal_id"]
    shown = ask(service, "run", id=run)
    event_id = shown["triggerIDs"][0]
    del shown["trace"]
    at = "2026-01-02T03:04:05Z"
    assert shown == {
        "id": run,
        "appID": shown["appID"],
        "functionID": function,
        "traceID": shown["traceID"],
        "queuedAt": at,
        "startedAt": at,
        "endedAt": at,
        "status": "COMPLETED",
        "eventName": "a/b",
        "isBatch": False,
        "batchCreatedAt": None,
        "cronSchedule": None,
        "output": '{"done":2}',
        "triggerIDs": [event_id],
        "lastRerun": None,
        "function": {"name": "fn", "slug": "app-fn"},
        "app": {"name": "app"},
    }
    assert len(shown["traceID"]) == 32
    listed = ask(service, "runs", filter={"from": SINCE})
    assert [edge["node"] for edge in listed["edges"]] == [shown]
    assert listed["totalCount"] == 1


def test_a_run_as_older_queries_show_it(service: Service, run: str) -> None:
    at = "2026-01-02T03:04:05Z"
    event_id = ask(service, "run", id=run)["triggerIDs"][0]
    assert ask(service, "functionRun", id=run) == {
        "id": run,
        "status": "COMPLETED",
        "output": '{"done":2}',
        "startedAt": at,
        "finishedAt": at,
        "eventID": event_id,
        "event": {"id": event_id},
        "function": {"slug": "app-fn"},
    }
    trigger = ask(service, "runTrigger", id=run)
    [payload] = map(json.loads, trigger.pop("payloads"))
    assert payload == {
        "data": {"n": 1},
        "id": "own",
        "name": "a/b",
        "ts": 1_700_000_000_000,
        "user": {},
    }
    assert trigger == {
        "eventName": "a/b",
        "IDs": [event_id],
        "timestamp": at,
        "isBatch": False,
        "batchID": None,
        "cron": None,
    }


def test_an_event_in_all_its_shapes(service: Service, run: str) -> None:
    [edge] = ask(service, "eventsV2", filter={"from": SINCE})["edges"]
    event = edge["node"]
    at = "2026-01-02T03:04:05Z"
    raw = json.loads(event.pop("raw"))
    assert raw == {
        "data": {"n": 1},
        "id": "own",
        "name": "a/b",
        "ts": 1_700_000_000_000,
        "v": None,
    }
    [started] = event.pop("runs")
    assert started == {
        "id": run,
        "status": "COMPLETED",
        "startedAt": at,
        "endedAt": at,
        "function": {"name": "fn", "slug": "app-fn"},
    }
    assert event == {
        "id": event["id"],
        "name": "a/b",
        "idempotencyKey": "own",
        "occurredAt": "2023-11-14T22:13:20Z",
        "receivedAt": at,
        "version": None,
        "envID": DEV_ENV_ID,
        "source": {"id": None, "name": None, "sourceKind": "SDK"},
    }
    alone = ask(service, "eventV2", id=event["id"])
    assert (alone["id"], alone["idempotencyKey"]) == (event["id"], "own")
    old = ask(service, "event", id=event["id"])
    assert old.pop("raw")
    assert old == {
        "id": event["id"],
        "name": "a/b",
        "createdAt": at,
        "payload": '{"n":1}',
        "status": "COMPLETED",
        "totalRuns": 1,
        "pendingRuns": 0,
        "functionRuns": [{"id": run, "status": "COMPLETED"}],
    }
    assert [one["id"] for one in ask(service, "events")] == [event["id"]]
    assert ask(service, "events", last=event["id"]) == []


def test_an_event_without_an_id_of_its_own_is_known_by_the_internal_one(service: Service) -> None:
    [event_id] = service.send({"name": "x/y", "v": "2", "user": {"n": 1}}).json["ids"]
    shown = ask(service, "eventV2", id=event_id.lower())
    assert shown["idempotencyKey"] == shown["id"] == event_id
    assert json.loads(shown["raw"])["user"] == {"n": 1}
    assert json.loads(shown["raw"])["v"] == "2"
    assert ask(service, "event", id=event_id)["status"] == "NO_FUNCTIONS"


def test_the_stream(service: Service) -> None:
    run = service.engine.start()
    service.engine.advance(seconds=1)
    [item] = ask(service, "stream")
    assert item.pop("id") == ask(service, "runTrigger", id=run)["IDs"][0]
    assert item == {
        "trigger": "a/b",
        "type": "EVENT",
        "createdAt": "2026-01-02T03:04:05Z",
        "inBatch": False,
        "runs": [{"id": run, "function": {"name": "fn"}}],
    }
    names = [
        one["trigger"] for one in ask(service, "stream", query={"includeInternalEvents": True})
    ]
    assert names == ["inngest/function.finished", "a/b"]
    [newest, oldest] = ask(service, "stream", query={"includeInternalEvents": True})
    between = {"after": oldest["id"], "includeInternalEvents": True}
    assert [one["id"] for one in ask(service, "stream", query=between)] == [newest["id"]]
    between = {"before": newest["id"], "includeInternalEvents": True, "limit": 1}
    assert [one["id"] for one in ask(service, "stream", query=between)] == [oldest["id"]]


def test_a_schedule_in_the_stream(service: Service) -> None:
    engine = service.engine
    sync(engine, {"cron": EVERY})
    pass_time(engine, minutes=1)
    [item] = ask(service, "stream")
    [run] = item.pop("runs")
    assert item == {
        "id": run["id"],
        "trigger": EVERY,
        "type": "CRON",
        "createdAt": "2026-01-02T03:05:05Z",
        "inBatch": False,
    }
    assert ask(service, "run", id=run["id"])["cronSchedule"] == EVERY
    trigger = ask(service, "runTrigger", id=run["id"])
    assert (trigger["cron"], trigger["eventName"]) == (EVERY, "inngest/scheduled.timer")


def test_runs_say_by_which_run_they_were_repeated(service: Service) -> None:
    old = service.engine.start()
    service.engine.now += timedelta(seconds=1)  # ids of one moment are in no order
    other = service.engine.start()
    service.engine.drain()
    for _ in range(2):
        service.engine.now += timedelta(seconds=1)
        new = rerun.rerun(service.engine.ctx, old)
    service.engine.drain()
    again = {"id": new, "status": "COMPLETED", "operationID": None}
    assert ask(service, "run", id=old)["lastRerun"] == again
    assert ask(service, "run", id=other)["lastRerun"] is None
    listed = ask(service, "runs", filter={"from": SINCE})["edges"]
    assert [edge["node"]["lastRerun"] for edge in listed] == [None, None, None, again]


def test_functions_say_how_their_newest_runs_ended(service: Service) -> None:
    assert [one["outcomes"] for one in ask(service, "functions")] == [[]]
    service.engine.start()
    service.engine.drain()
    service.engine.sdk.script = lambda request, target: reply(500, "no", x_inngest_no_retry="true")
    service.engine.start()
    service.engine.drain()
    ended = [{"status": status, "runs": 1} for status in ("COMPLETED", "FAILED")]
    assert [one["outcomes"] for one in ask(service, "functions")] == [ended]
    [app] = ask(service, "apps")
    assert [one["outcomes"] for one in app["functions"]] == [ended]


def test_apps_and_functions(service: Service) -> None:
    [app] = ask(service, "apps")
    assert ask(service, "app", id=app["id"].upper()) == app
    [function] = app.pop("functions")
    assert ask(service, "functions") == [function]
    assert ask(service, "functionBySlug", slug="app-fn") == function
    assert {name: app[name] for name in ("name", "externalID", "connected", "method")} == {
        "name": "app",
        "externalID": "app",
        "connected": True,
        "method": "SERVE",
    }
    assert (app["functionCount"], app["error"], app["autodiscovered"]) == (1, None, False)
    assert ask(service, "apps", filter={"method": "CONNECT"}) == []
    assert function["triggers"] == [{"type": "EVENT", "value": "a/b", "condition": None}]
    assert function["app"] == {"id": app["id"], "externalID": "app", "name": "app"}
    assert function["configuration"]["retries"] == {"value": 2, "isDefault": False}
    assert json.loads(function["config"])["retries"] == 2


def test_a_whole_configuration(service: Service) -> None:
    step = {"runtime": {"type": "http", "url": "http://localhost:2/x"}}
    config = {
        "id": "shop-ship",
        "name": "ship",
        "triggers": [{"event": "a", "expression": "event.data.n > 1"}, {"cron": "0 * * * *"}],
        "steps": {"step": {"id": "step", "name": "step", **step}},
        "concurrency": [{"limit": 5}, {"limit": 2, "scope": "account", "key": "event.data.k"}],
        "rateLimit": {"limit": 3, "period": "1m"},
        "throttle": {"limit": 1, "period": "10s", "burst": 2},
        "debounce": {"period": "90s", "timeout": "1h"},
        "singleton": {"mode": "skip", "key": "event.data.k"},
        "priority": {"run": "event.data.p"},
        "cancel": [{"event": "stop", "timeout": "1h", "if": "async.data.k == event.data.k"}],
    }
    handler = config | {"id": "shop-ship-failure", "name": "ship (failure)"}
    payload = {"appName": "shop", "url": "http://localhost:2/x", "functions": [config, handler]}
    response = service.client.post("/fn/register", json=payload)
    assert response.status_code == 200, response.json
    shown = ask(service, "functionBySlug", slug="shop-ship")
    assert shown["failureHandler"] == {"slug": "shop-ship-failure"}
    assert shown["triggers"] == [
        {"type": "EVENT", "value": "a", "condition": "event.data.n > 1"},
        {"type": "CRON", "value": "0 * * * *", "condition": None},
    ]
    assert shown["configuration"] == {
        "cancellations": [
            {"event": "stop", "timeout": "3600s", "condition": "async.data.k == event.data.k"}
        ],
        "retries": {"value": 4, "isDefault": True},
        "priority": "event.data.p",
        "eventsBatch": None,
        "concurrency": [
            {
                "scope": "ACCOUNT",
                "limit": {"value": 2, "isPlanLimit": False},
                "key": "event.data.k",
            },
            {"scope": "FUNCTION", "limit": {"value": 5, "isPlanLimit": False}, "key": None},
        ],
        "rateLimit": {"limit": 3, "period": "60s", "key": None},
        "debounce": {"period": "90s", "timeout": "3600s", "key": None},
        "throttle": {"burst": 2, "key": None, "limit": 1, "period": "10s"},
        "singleton": {"mode": "SKIP", "key": "event.data.k"},
    }


def test_workers(service: Service) -> None:
    shown = ask(service, "workerConnections", filter={"status": ["READY"]})
    assert (shown["edges"], shown["totalCount"]) == ([], 0)
    ctx = service.engine.ctx
    app_id = ask(service, "apps")[0]["id"]
    for number, status in ((1, Status.READY), (2, Status.DRAINING)):
        row: dict[str, Any] = {
            "id": ctx.new_id(),
            "instance_id": f"worker-{number}",
            "status": status.value,
            "groups": f'{{"{app_id}":"group"}}',
            "attributes": '{"cpu_cores":2,"mem_bytes":1024,"os":"linux"}',
            "gateway_id": ctx.worker_id,
            "capacity": 7,
            "in_flight": 0,
            "sdk_language": "py",
            "sdk_version": "v1",
            "platform": "",
            "connected_at": ctx.now() + timedelta(seconds=number),
            "heartbeat_at": ctx.now(),
        }
        with ctx.db.transaction() as tx:
            connections.put(tx, row)
    shown = ask(service, "workerConnections", filter={"status": ["READY"]})
    [edge] = shown["edges"]
    node = edge["node"]
    assert (node["instanceId"], node["status"], shown["totalCount"]) == ("worker-1", "READY", 1)
    assert (node["maxWorkerConcurrency"], node["app"]["id"], node["os"]) == (7, app_id, "linux")
    assert ask(service, "workerConnection", id=node["id"]) == node
    everybody = ask(service, "workerConnections", filter={"appIDs": [app_id]})
    assert [one["node"]["instanceId"] for one in everybody["edges"]] == ["worker-2", "worker-1"]
    other = ask(service, "workerConnections", filter={"appIDs": [UNKNOWN_UUID]})
    assert other["edges"] == []
    assert UNKNOWN in refused(service, "workerConnection", id=UNKNOWN)


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("run", {"id": UNKNOWN}),
        ("functionRun", {"id": UNKNOWN}),
        ("runTrigger", {"id": UNKNOWN}),
        ("runTrace", {"id": UNKNOWN}),
        ("eventV2", {"id": UNKNOWN}),
        ("event", {"id": UNKNOWN}),
        ("app", {"id": UNKNOWN_UUID}),
        ("functionBySlug", {"slug": "none"}),
    ],
)
def test_unknown_ids_are_errors(service: Service, name: str, variables: Any) -> None:
    response = post(service, QUERIES[name], variables)
    assert response.status_code == 200
    assert response.json["data"] == {name: None}
    [error] = response.json["errors"]
    assert error["path"] == [name]
    assert next(iter(variables.values())) in error["message"]


def test_introspection(service: Service) -> None:
    from graphql import build_client_schema, get_introspection_query

    response = post(service, get_introspection_query())
    assert response.status_code == 200
    assert build_client_schema(response.json["data"]).query_type is not None
