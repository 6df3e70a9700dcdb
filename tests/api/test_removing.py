"""Removed apps are archived: their runs continue, and their history stays."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from inngest_py.cli import cli
from inngest_py.domain.errors import Conflict, NotFound
from inngest_py.domain.functions.registration import parse_registration
from inngest_py.engine.apps import erasing, register
from inngest_py.engine.runtime.audit import Actor
from inngest_py.storage.catalog import crons, functions
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import app_list
from inngest_py.storage.runs import steps
from tests.api.conftest import Service
from tests.engine.harness import Engine, opened, sequence, stored_runs
from tests.factories import op, reply

URL = "http://localhost:1/api/inngest"
BY = Actor("ann")


def ask(service: Service, mutation: str) -> Any:
    answer = service.client.post("/v0/gql", json={"query": f"mutation {{ it: {mutation} }}"})
    return answer.json["data"]["it"]


def remove_by_url(service: Service, _app_id: str) -> None:
    assert service.client.delete("/fn/remove", query_string={"url": URL}).status_code == 200


def remove_by_id(service: Service, app_id: str) -> None:
    assert ask(service, f'deleteApp(id: "{app_id}")') == app_id


def remove_by_name(service: Service, _app_id: str) -> None:
    assert ask(service, 'deleteAppByName(name: "app")') is True


WAYS = [remove_by_url, remove_by_id, remove_by_name]


def app_row(db: Database) -> Any:
    with db.reading() as tx:
        return app_list.by_name(tx, "app")


@pytest.mark.parametrize("remove", WAYS, ids=lambda way: way.__name__)
def test_runs_of_a_removed_app_continue_and_history_stays(service: Service, remove: Any) -> None:
    engine = service.engine
    finished = engine.start()
    engine.drain()

    def removes(request: dict[str, Any], target: str) -> Any:
        if not request["steps"]:
            remove(service, app_row(engine.ctx.db)["id"])
            return reply(206, [op("StepRun", "one", data=1)])
        return reply(200, "went on")

    engine.sdk.script = removes
    in_flight = engine.start()
    engine.drain()
    assert engine.run(in_flight)["status"] == "completed"
    assert engine.run(finished)["status"] == "completed"
    assert len(engine.memo(finished)) == 2
    [event_id] = service.send({"name": "a/b"}).json["ids"]
    assert service.client.get(f"/v1/events/{event_id}/runs").json["data"] == []
    assert [app["name"] for app in service.client.get("/api/v1/apps").json["data"]] == []
    assert service.client.get("/v1/apps/app/functions").status_code == 404
    listed = service.client.get("/v2/apps?archived=true").json["data"]
    assert [(app["name"], app["isArchived"]) for app in listed] == [("app", True)]
    assert service.client.get("/v2/apps").json.get("data", []) == []
    assert service.client.get(f"/v2/runs/{finished}").json["data"]["function"]["id"] == "fn"


def test_sleeping_run_of_a_removed_app_resumes(service: Service) -> None:
    engine = service.engine

    def script(request: dict[str, Any], target: str) -> Any:
        if not request["steps"]:
            return reply(206, [op("Sleep", "nap", name="1h")])
        return reply(200, "awake")

    engine.sdk.script = script
    run_id = engine.start()
    engine.drain()
    remove_by_url(service, "")
    engine.advance(hours=2)
    assert engine.run(run_id)["status"] == "completed"


@pytest.mark.parametrize("way", ["sync", "one function"])
def test_removed_app_that_comes_back_is_the_same_app(service: Service, way: str) -> None:
    engine = service.engine
    before = engine.start()
    engine.drain()
    remove_by_url(service, "")
    if way == "sync":
        engine.register()
    else:
        body = {"app": "app", "id": "app-fn", "name": "fn", "triggers": [{"event": "a/b"}]}
        made = service.client.post("/api/v1/functions", json={**body, "url": URL})
        assert made.status_code == 200
    assert app_row(engine.ctx.db)["archived_at"] is None
    assert [app["name"] for app in service.client.get("/api/v1/apps").json["data"]] == ["app"]
    after = engine.start()
    assert engine.run(after)["function_id"] == engine.run(before)["function_id"]


def test_an_app_that_an_older_server_took_back_is_no_longer_archived(service: Service) -> None:
    engine = service.engine
    with engine.ctx.db.transaction() as tx:  # the older server does not know `archived_at`
        tx.execute(update(functions.App).values(archived_at=engine.now))
    engine.register()
    assert app_row(engine.ctx.db)["archived_at"] is None


def test_crons_of_a_removed_app_stop_and_start_again(db: Database) -> None:
    engine = Engine(db, sequence(), triggers=[{"cron": "*/5 * * * *"}])
    register.remove(engine.ctx, URL)
    with db.reading() as tx:
        assert crons.first(tx) is None
    engine.register(triggers=[{"cron": "*/5 * * * *"}])
    with db.reading() as tx:
        assert crons.first(tx) is not None


def test_an_app_that_never_synced_is_deleted(db: Database) -> None:
    engine = Engine(db, sequence())
    register.add_placeholder(engine.ctx, "http://localhost:9/x")
    register.remove(engine.ctx, "http://localhost:9/x")
    with db.reading() as tx:
        assert app_list.by_name(tx, "") is None


def other_app(engine: Engine) -> None:
    step = {"runtime": {"url": "http://localhost:2/x?fnId=other-fn&stepId=step"}}
    made = {"id": "other-fn", "name": "fn", "triggers": [{"event": "c/d"}], "steps": {"step": step}}
    payload = {"appName": "other", "url": "http://localhost:2/x", "functions": [made]}
    register.register(engine.ctx, parse_registration(payload))


def test_an_app_is_erased_with_its_history_only_when_nothing_runs(db: Database) -> None:
    engine = Engine(db, sequence("one"))
    other_app(engine)
    kept = engine.start(name="c/d")
    engine.drain()
    for _ in range(3):
        engine.start()
    engine.drain()
    live = engine.start()
    assert erasing.preview(db, "app") == erasing.ToErase(app_row(db)["id"], 1, 4, 1)
    with pytest.raises(Conflict, match="1 runs of app have not ended"):
        erasing.erase(db, "app", engine.now, BY)
    assert app_row(db)["archived_at"] is None
    engine.drain()
    assert erasing.erase(db, "app", engine.now, BY) == 4
    assert app_row(db) is None
    with db.reading() as tx:
        assert [row["id"] for row in stored_runs(tx)] == [kept]
        assert steps.memo(tx, [live])[live] == {}
    assert engine.memo(kept)
    for act in (erasing.preview, lambda db, name: erasing.erase(db, name, engine.now, BY)):
        with pytest.raises(NotFound, match="app 'app' does not exist"):
            act(db, "app")


def test_the_command_asks_before_it_deletes(migrated_sqlite: Path, tmp_path: Path) -> None:
    file = tmp_path / "test.db"
    file.write_bytes(migrated_sqlite.read_bytes())
    url = f"sqlite:///{file}"
    engine = Engine(opened(url), sequence("one"))
    engine.start()
    engine.drain()
    engine.ctx.db.close()

    def run(*args: str, typed: str = "") -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["apps", *args, "--database-url", url], input=typed)
        return done.exit_code, done.output

    code, told = run("delete", "app", typed="apple\n")
    assert code == 1
    assert "1 functions and 1 runs are deleted for good" in told
    assert "nothing was deleted" in told
    assert "does not exist" in run("delete", "nobody", "--yes")[1]
    code, told = run("delete", "app", typed="app\n")
    assert (code, told.splitlines()[-1]) == (0, "app is deleted, with 1 runs")
    assert "does not exist" in run("delete", "app", "--yes")[1]
