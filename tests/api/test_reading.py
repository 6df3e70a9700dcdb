"""Reading events, runs, functions and health (protocol: api.md §2)."""

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from inngest_py.domain.values.ids import DEV_ACCOUNT_ID, DEV_ENV_ID
from inngest_py.engine.upkeep.workers import Presence
from inngest_py.metrics.counters import Counters
from inngest_py.storage.db.clock import wall_clock
from tests.api.conftest import Service
from tests.api.test_register import is_public
from tests.factories import op, reply

UNKNOWN = "01JD0000000000000000000000"


@pytest.fixture
def run(service: Service) -> str:
    """A run of two steps that has completed."""
    run_id = service.engine.start(data={"n": 1})
    service.engine.drain()
    return run_id


def test_an_event(service: Service) -> None:
    sent = {"name": "x/y", "data": {"n": 1}, "id": "own", "ts": 1_700_000_000_000, "v": "1"}
    [event_id] = service.send(sent).json["ids"]
    answered = service.client.get(f"/v1/events/{event_id}")
    assert answered.status_code == 200
    assert answered.json == {
        "data": {
            "internal_id": event_id,
            "account_id": DEV_ACCOUNT_ID,
            "environment_id": DEV_ENV_ID,
            "source": "",
            "source_id": None,
            "received_at": "2026-01-02T03:04:05Z",
            "id": "own",
            "name": "x/y",
            "data": {"n": 1},
            "ts": 1_700_000_000_000,
            "v": "1",
        },
        "metadata": {"fetched_at": "2026-01-02T03:04:05Z"},
    }


def test_a_run(service: Service, run: str) -> None:
    shown = service.client.get(f"/v1/runs/{run}").json["data"]
    assert shown == {
        "run_id": run,
        "run_started_at": "2026-01-02T03:04:05Z",
        "function_id": service.function_of("app", "app-fn")["internal_id"],
        "function_version": 1,
        "environment_id": DEV_ENV_ID,
        "event_id": shown["event_id"],
        "status": "Completed",
        "ended_at": "2026-01-02T03:04:05Z",
        "output": {"done": 2},
    }
    listed = service.client.get(f"/v1/events/{shown['event_id']}/runs").json
    assert listed.keys() == {"data", "metadata"}
    assert listed["data"] == [shown]


def test_events_are_paged_newest_first(service: Service) -> None:
    sent = [service.send({"name": f"n/{n % 2}"}).json["ids"][0] for n in range(7)]
    pages: list[list[str]] = []
    cursor = ""
    while not pages or pages[-1]:
        answered = service.client.get(f"/v1/events?limit=3&cursor={cursor}").json
        pages.append([event["internal_id"] for event in answered["data"]])
        cursor = pages[-1][-1] if pages[-1] else ""
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert sorted(sent, reverse=True) == [found for page in pages for found in page]


def test_events_are_filtered(service: Service) -> None:
    service.send([{"name": "a"}, {"name": "b"}])
    service.engine.advance(minutes=10)
    service.send({"name": "a"})

    def count(query: str) -> int:
        return len(service.client.get(f"/v1/events?{query}").json["data"])

    assert count("") == 3
    assert count("name=a") == 2
    assert count("name=none") == 0
    assert count("received_after=2026-01-02T03:10:00Z") == 1
    assert count("received_before=2026-01-02T03:10:00Z") == 2
    assert count("received_before=2026-01-02T05:10:00%2B02:00&name=a") == 1
    assert count("limit=0") == count("limit=-5") == 1
    assert count("limit=1000") == 3


def test_the_most_events_of_a_page_are_51(service: Service) -> None:
    service.send([{"name": "x"}] * 60)
    assert len(service.client.get("/v1/events").json["data"]) == 20
    assert len(service.client.get("/v1/events?limit=99").json["data"]) == 51


def test_internal_events_are_shown_by_id_only(service: Service, run: str) -> None:
    shown = service.client.get("/v1/events").json["data"]
    assert [event["name"] for event in shown] == ["a/b"]
    invoked = service.client.post("/invoke/app-fn").json["id"]
    assert service.client.get(f"/v1/events/{invoked}").status_code == 200
    assert len(service.client.get("/v1/events").json["data"]) == 1


def test_what_is_queued(service: Service) -> None:
    run_id = service.engine.start()
    [job] = service.client.get(f"/v1/runs/{run_id}/jobs").json["data"]
    assert job.keys() == {"JobID", "at", "position", "kind", "attempt", "Raw"}
    assert (job["kind"], job["attempt"], job["at"]) == ("start", 0, "2026-01-02T03:04:05Z")
    service.engine.drain()
    assert service.client.get(f"/v1/runs/{run_id}/jobs").json["data"] == []


def test_cancelling(service: Service, run: str) -> None:
    waiting = service.engine.start()
    answered = service.client.delete(f"/v1/runs/{waiting}")
    assert (answered.status_code, answered.data) == (200, b"")
    shown = service.client.get(f"/v1/runs/{waiting}").json["data"]
    assert (shown["status"], shown["ended_at"]) == ("Cancelled", "2026-01-02T03:04:05Z")
    assert service.client.delete(f"/v1/runs/{run}").status_code == 200
    assert service.client.get(f"/v1/runs/{run}").json["data"]["status"] == "Completed"
    told = service.client.delete(f"/api/v1/runs/{run}")
    assert told.json == {"data": {"id": run, "was": "completed"}}
    assert service.client.delete(f"/v0/runs/{run}").status_code == 404
    assert service.client.delete(f"/v0/runs/{service.engine.start()}").status_code == 204


def test_functions_are_a_bare_array(service: Service) -> None:
    listed = service.client.get("/v1/apps/app/functions").json
    assert isinstance(listed, list)
    [function] = listed
    assert function.keys() == {
        "internal_id",
        "env_id",
        "app_id",
        "id",
        "name",
        "config",
        "created_at",
        "archived_at",
        "paused",
        "paused_at",
        "paused_events",
        "limits",
    }
    assert function["limits"] is None
    assert function["id"] == function["config"]["slug"] == "app-fn"
    assert function["internal_id"] == function["config"]["id"]
    assert function["config"]["fv"] == 1


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/events/{UNKNOWN}",
        f"/v1/runs/{UNKNOWN}",
        f"/v1/runs/{UNKNOWN}/jobs",
        "/v1/apps/none/functions",
        f"/api/v1/runs/{UNKNOWN}",
        "/v1/none",
        "/api/v1/none",
        "/v1//events",
    ],
)
def test_unknown_ids_are_errors(lasting: Service, path: str) -> None:
    assert is_public(lasting.client.get(path), 404)


def test_cancelling_what_is_not_there(lasting: Service) -> None:
    for path in (f"/v1/runs/{UNKNOWN}", f"/api/v1/runs/{UNKNOWN}", f"/v0/runs/{UNKNOWN}"):
        assert is_public(lasting.client.delete(path), 404)
    said = lasting.client.delete(f"/v0/runs/{UNKNOWN}").json["error"]
    assert said == "A function run with the given ID could not be found"


def test_an_unknown_event_has_no_runs(lasting: Service) -> None:
    assert lasting.client.get(f"/v1/events/{UNKNOWN}/runs").json["data"] == []


@pytest.mark.parametrize("bad", ["x", UNKNOWN.lower(), UNKNOWN + "0", "8" * 26, "%FF", "ü" * 26])
def test_bad_ids_are_refused(lasting: Service, bad: str) -> None:
    for path in ("v1/events/{}", "v1/events/{}/runs", "v1/runs/{}", "v1/runs/{}/jobs"):
        assert is_public(lasting.client.get("/" + path.format(bad)), 400)
    for path in ("api/v1/runs/{}", "v0/runs/{}/actions", "v0/runs/{}/batch"):
        assert is_public(lasting.client.get("/" + path.format(bad)), 400)
    for path in ("v1/runs/{}", "api/v1/runs/{}", "v0/runs/{}"):
        assert is_public(lasting.client.delete("/" + path.format(bad)), 400)


@pytest.mark.parametrize(
    "query",
    [
        "limit=x",
        f"limit={'9' * 5000}",
        "limit=1.5",
        "cursor=x",
        "name=%00",
        "received_after=yesterday",
        "received_after=2026-13-01T00:00:00Z",
        "received_after=9999-12-31T23:00:00-14:00",
        "received_before=0001-01-01T00:00:00%2B14:00",
    ],
)
def test_bad_queries_of_events(lasting: Service, query: str) -> None:
    assert is_public(lasting.client.get(f"/v1/events?{query}"), 400)


def test_a_run_with_all_that_belongs_to_it(service: Service, run: str) -> None:
    shown = service.client.get(f"/api/v1/runs/{run}").json["data"]
    assert (shown["status"], shown["function"], shown["app"]) == ("completed", "app-fn", "app")
    assert (shown["event"]["name"], shown["output"]) == ("a/b", {"done": 2})
    assert [step["name"] for step in shown["steps"]] == ["one", "two"]
    assert shown["attempts"]
    assert shown["queued"] == []


def test_runs_are_paged_and_filtered(service: Service, run: str) -> None:
    service.engine.advance(minutes=10)
    waiting = {service.engine.start() for _ in range(5)}

    def listed(query: str) -> list[str]:
        answered = service.client.get(f"/api/v1/runs?{query}")
        assert answered.status_code == 200
        return [item["id"] for item in answered.json["data"]]

    assert set(listed("")) == waiting | {run}
    assert listed("status=completed") == [run]
    assert len(listed("status=completed&status=queued")) == 6
    assert len(listed("function=app-fn")) == 6
    assert listed("function=none") == []
    assert listed("queued_before=2026-01-02T03:10:00Z") == [run]
    assert set(listed("queued_after=2026-01-02T03:10:00Z")) == waiting
    found: list[str] = []
    page: dict[str, Any] = {"cursor": "", "has_more": True}
    while page["has_more"]:
        cursor = f"&cursor={page['cursor']}" if page["cursor"] else ""
        page = service.client.get(f"/api/v1/runs?limit=2{cursor}").json
        found += [item["id"] for item in page["data"]]
    assert page["cursor"] is None
    assert found == sorted(waiting | {run}, reverse=True)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=x",
        f"limit={'9' * 5000}",
        "status=none",
        "cursor=x",
        "function=%00",
        "queued_after=now",
        "queued_after=2026-01-02T03:04:05",
        "queued_after=9999-12-31T23:00:00-14:00",
        "queued_before=0001-01-01T00:00:00%2B14:00",
    ],
)
def test_bad_queries_of_runs(lasting: Service, query: str) -> None:
    assert is_public(lasting.client.get(f"/api/v1/runs?{query}"), 400)


def test_state_is_fetched_while_a_run_lives(service: Service, run: str) -> None:
    waiting = service.engine.start(data={"n": 1})
    assert service.client.get(f"/v0/runs/{waiting}/actions").json == {}
    [event] = service.client.get(f"/v0/runs/{waiting}/batch").json
    assert event["data"] == {"n": 1}
    for run_id in (run, UNKNOWN):
        for part in ("actions", "batch"):
            assert is_public(service.client.get(f"/v0/runs/{run_id}/{part}"), 410)


def test_health(service: Service) -> None:
    answered = service.client.get("/health")
    assert answered.status_code == 200
    assert answered.json == {
        "status": 200,
        "message": "OK",
        "database": "ok",
        "clock_skew_seconds": 0.0,
        "broker": "in process",
        "workers": 0,
        "connections": 0,
        "upkeep_faults": [],
        "backlog": {"due": 0, "oldest_seconds": 0.0, "in_flight": 0},
    }
    other = replace(service.engine.ctx, worker_id="w2", faults={"due_items": "KeyError"})
    Presence("w@host", "threads", 1).announce(other)
    service.engine.ctx.faults["leases"] = "KeyError"
    service.engine.start()
    service.engine.now = service.engine.now.replace(second=35)
    answered = service.client.get("/health")
    assert answered.status_code == 200
    assert answered.json["upkeep_faults"] == ["due_items", "leases"]
    backlog = answered.json["backlog"]
    assert backlog == {"due": 1, "oldest_seconds": 30.0, "in_flight": 0}


def test_health_tells_how_far_the_machines_clock_is_off(service: Service) -> None:
    clock = service.engine.ctx.db.clock
    clock.wall = lambda: wall_clock() - timedelta(minutes=1)
    now = clock.wall()
    clock.compare(now, now + timedelta(minutes=1), now)
    shown = service.client.get("/health").json["clock_skew_seconds"]
    assert abs(shown - 60) < 5


def test_outage_of_the_database_is_a_503(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise OperationalError("select", {}, Exception("gone"), connection_invalidated=True)

    monkeypatch.setattr("inngest_py.storage.queries.queue_stats.backlog", fail)
    for path in ("/health", "/health/ready"):
        answered = service.client.get(path)
        assert (answered.status_code, answered.json["database"]) == (503, "away")
    assert service.client.get("/health/live").status_code == 200  # a restart would not help


def test_a_server_that_is_asked_to_stop_is_not_ready_but_lives(service: Service) -> None:
    assert service.client.get("/health/ready").json == {"status": 200, "message": "OK"}
    service.engine.ctx.stopping.set()
    answered = service.client.get("/health/ready")
    assert (answered.status_code, answered.json["message"]) == (503, "the server is stopping")
    assert service.client.get("/health/live").status_code == 200
    assert service.client.get("/health").status_code == 200


def test_a_probe_that_raises_is_told_counted_and_logged(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Any:
        raise KeyError("unforeseen")

    caplog.set_level(logging.INFO, "inngest_py")
    counters = Counters(lambda _: None)
    counters.connect()
    try:
        with monkeypatch.context() as patched:
            patched.setattr("inngest_py.storage.queries.queue_stats.backlog", fail)
            answered = service.client.get("/health")
    finally:
        counters.disconnect()
    assert (answered.status_code, answered.json["database"]) == (503, "unknown")
    assert "KeyError" in answered.json["message"]
    assert answered.json["upkeep_faults"] == ["health"]
    [failed] = [line for line in caplog.records if line.message == "upkeep.failed"]
    assert failed.exc_info is not None
    assert failed.exc_info[0] is KeyError
    label = {"service": "health"}
    assert counters.registry.get_sample_value("inngest_upkeep_faults_total", label) == 1
    again = service.client.get("/health")
    assert (again.status_code, again.json["upkeep_faults"]) == (200, [])
    assert "upkeep.back" in caplog.messages


def test_actions_are_json_whatever_a_step_is_called(service: Service) -> None:
    engine, name = service.engine, 'a"b\\c\nü'

    def script(request: dict[str, Any], target: str) -> Any:
        if not request["steps"]:
            return reply(206, [op("StepRun", "a", data=1) | {"id": name}])
        return reply(206, [op("Sleep", "nap", name="1h")])

    engine.sdk.script = script
    run_id = engine.start()
    engine.drain()
    assert service.client.get(f"/v0/runs/{run_id}/actions").json == {name: {"data": 1}}
