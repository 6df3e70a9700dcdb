"""`/v1/operations`: begin, count, list, change; what is wrong is named."""

import json
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from inngest_py.cli import cli
from inngest_py.engine.operations import walk
from inngest_py.engine.upkeep import leftovers
from inngest_py.engine.upkeep.errors import grouping
from tests.api.conftest import Service
from tests.engine.harness import sequence
from tests.factories import reply

PREFIXES = ("/v1", "/api/v1")
UNKNOWN = "01JD0000000000000000000000"


def failing(request: dict[str, Any], target: str) -> Any:
    return reply(400, {"name": "Error", "message": "no stock"}, x_inngest_no_retry="true")


def failed_runs(service: Service, number: int) -> list[str]:
    engine = service.engine
    engine.sdk.script = failing
    found = sorted(engine.start(data={"n": n}) for n in range(number))
    engine.drain()
    engine.now += timedelta(seconds=1)
    engine.sdk.script = sequence("a")
    return found


def finish(service: Service) -> None:
    while walk.next_chunk(service.engine.ctx):
        pass
    service.engine.drain()


@pytest.mark.parametrize("prefix", PREFIXES)
def test_count_begin_and_read_the_results(service: Service, prefix: str) -> None:
    client, old = service.client, failed_runs(service, 3)
    asked = {"kind": "rerun", "selection": {"function": "app-fn", "status": ["failed"]}}
    named = {"name": "Run again 3 failed runs of app-fn", "total": 3, "total_exact": True}
    counted = {"data": {**named, "functions": {"app-fn": 3}, "note": None}}
    query = "kind=rerun&function=app-fn&status=failed"
    assert client.get(f"{prefix}/operations/preview?{query}").json == counted
    dry = client.post(f"{prefix}/operations", json=asked | {"dry_run": True})
    assert (dry.status_code, dry.json) == (200, counted)
    assert client.get(f"{prefix}/operations").json["data"] == []
    made = client.post(f"{prefix}/operations", json=asked | {"rate": 1000})
    assert made.status_code == 201
    path = f"{prefix}/operations/{made.json['data']['id']}"
    assert made.json["data"] | named == made.json["data"]
    paused = client.patch(path, json={"state": "paused", "rate": 0.5}).json["data"]
    assert (paused["state"], paused["rate"], paused["done"]) == ("paused", 0.5, 0)
    assert client.get(f"{prefix}/operations?state=running").json["data"] == []
    client.patch(path, json={"state": "running", "rate": None})
    finish(service)
    shown = client.get(path).json["data"]
    counts = {name: shown[name] for name in ("done", "succeeded", "skipped", "failed")}
    assert counts == {"done": 3, "succeeded": 3, "skipped": 0, "failed": 0}
    assert (shown["state"], shown["runs"], shown["selection"]) == (
        "completed",
        {"completed": 3},
        asked["selection"],
    )
    first = client.get(f"{path}/results?limit=2").json
    rest = client.get(f"{path}/results?limit=2&cursor={first['cursor']}").json
    results = first["data"] + rest["data"]
    assert [one["id"] for one in results] == old and not rest["has_more"]
    assert {(one["was"], one["status"], one["outcome"]) for one in results} == {
        ("failed", "completed", "succeeded")
    }
    assert client.get(f"{path}/results?status=failed").json["data"] == []
    assert [one["id"] for one in client.get(f"{prefix}/operations").json["data"]] == [shown["id"]]
    assert client.patch(path, json={"state": "paused"}).status_code == 409


def test_runs_say_by_what_they_were_repeated(service: Service) -> None:
    client, [old] = service.client, failed_runs(service, 1)
    asked = {"kind": "rerun", "selection": {"status": "failed"}}
    made = client.post("/v1/operations", json=asked).json["data"]
    finish(service)
    runs = {one["id"]: one for one in client.get("/api/v1/runs").json["data"]}
    [new] = runs.keys() - {old}
    again = {"id": new, "status": "completed", "operation_id": made["id"]}
    assert (runs[old]["last_rerun"], runs[old]["original_run_id"]) == (again, None)
    assert (runs[new]["last_rerun"], runs[new]["original_run_id"]) == (None, old)
    shown = client.get(f"/api/v1/runs/{old}").json["data"]
    assert (shown["last_rerun"], shown["operation"]) == (again, None)
    shown = client.get(f"/api/v1/runs/{new}").json["data"]
    assert shown["operation"] == {"id": made["id"], "name": "Run again 1 failed run"}
    service.engine.now += timedelta(days=91)
    while leftovers.forget_operations(service.engine.ctx):
        pass
    shown = client.get(f"/api/v1/runs/{old}").json["data"]
    assert shown["last_rerun"] == again | {"operation_id": None}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_all_runs_of_an_error_run_again(service: Service, prefix: str) -> None:
    client, old = service.client, failed_runs(service, 3)
    grouping.Grouping().run_once(service.engine.ctx)
    [error] = client.get(f"{prefix}/errors").json["data"]
    path = f"{prefix}/errors/{error['id']}/rerun"
    assert client.post(path, json={"rate": 0}).status_code == 400
    assert client.post(f"{prefix}/errors/none/rerun", json={}).status_code == 404
    made = client.post(path, json={"rate": 100})
    assert made.status_code == 201
    finish(service)
    shown = client.get(f"{prefix}/operations/{made.json['data']['id']}").json["data"]
    assert shown["name"] == "Run again 3 failed runs of app-fn: Error: no stock"
    assert (shown["state"], shown["succeeded"], shown["rate"]) == ("completed", 3, 100)
    results = client.get(f"{prefix}/operations/{shown['id']}/results").json["data"]
    assert [one["id"] for one in results] == old
    again = client.get(f"{prefix}/operations/preview?error={error['id']}").json["data"]
    assert again["total"] == 0  # all of them are repeated


def test_bad_changes_and_unknown_ones(service: Service) -> None:
    client = service.client
    for path in (f"/v1/operations/{UNKNOWN}", f"/v1/operations/{UNKNOWN}/results"):
        assert client.get(path).status_code == 404
    assert client.get("/v1/operations/x").status_code == 400
    for body, problem in (
        ({}, "state is missing, and rate too: give one of them"),
        ({"state": "completed"}, "state must be one of running, paused, cancelled"),
        ({"rate": 0}, "rate must lie between 0.001 and 10000 items a second"),
        ({"rat": 1}, "rat is no field here: choose from state, rate"),
    ):
        answered = client.patch(f"/v1/operations/{UNKNOWN}", json=body)
        assert (answered.status_code, answered.json["error"]) == (400, problem)
    assert client.patch(f"/v1/operations/{UNKNOWN}", json={"rate": 1}).status_code == 404
    for wrong, problem in (([], "the body: must be"), ({"kind": "x"}, "kind must be one of")):
        answered = client.post("/v1/operations", json=wrong)
        assert answered.status_code == 400 and answered.json["error"].startswith(problem)
    unknown = {"kind": "rerun", "selection": {"function": "nobody"}}
    answered = client.post("/v1/operations", json=unknown)
    assert answered.status_code == 404
    assert answered.json["error"] == "there is no function nobody: name one that is registered"


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
def test_from_the_command_line(service: Service, served: str) -> None:
    def shell(*args: str, code: int = 0) -> str:
        found = CliRunner().invoke(cli, [*args, "--url", served])
        assert found.exit_code == code, found.output
        return found.output

    old = failed_runs(service, 3)
    chosen = ("operations", "begin", "rerun", "--function", "app-fn", "--status", "failed")
    dry = shell(*chosen, "--since", "1h", "--dry-run")
    assert dry == "Run again 0 failed runs of app-fn\n"  # the engine's clock is another one
    dry = shell(*chosen, "--since", "2020-01-01T00:00Z", "--dry-run")
    assert dry.split("\n")[:2] == ["Run again 3 failed runs of app-fn", f"{3:>11,}  app-fn"]
    made, name = shell(*chosen, "--rate", "1000").strip().split("  ")
    assert name == "Run again 3 failed runs of app-fn"
    assert shell("operations", "pause", made) == f"{made} is paused, at 0 of 3, 1000 a second\n"
    assert shell("operations", "rate", made, "none").endswith("paused, at 0 of 3, no limit\n")
    assert "rate must lie between" in shell("operations", "rate", made, "0", code=1)
    assert json.loads(shell("operations", "resume", made, "--json"))["state"] == "running"
    finish(service)
    assert shell("operations", "show", made, "--follow").split("\n") == [
        "3 of 3, completed",
        "Run again 3 failed runs of app-fn (completed)",
        "3 of 3: 3 succeeded, 0 skipped, 0 failed",
        "new runs: 3 completed",
        "",
    ]
    assert shell("operations", "list") == f"{made}  completed  3 of 3  {name}\n"
    lines = shell("operations", "results", made).strip().split("\n")
    assert [line.split()[0] for line in lines] == old
    assert all(line.endswith(" completed") for line in lines)
    assert "has ended (completed)" in shell("operations", "cancel", made, code=1)
    replayed = shell("replay-events", "app-fn", "--since", "2020-01-01T00:00Z", "--event", "a/b")
    assert replayed.strip().split("  ")[1] == "Replay 3 events to app-fn"
    assert "since must lie in the past" in shell(
        "replay-events", "app-fn", "--since", "2099-01-01T00:00Z", code=1
    )
