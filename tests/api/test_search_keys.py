"""`/v1/functions/{id}/search-keys`, and lists of runs by key: REST and command line."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner

from inngest_py.cli import cli
from inngest_py.engine.admin import search_key_walk
from tests.api.conftest import Service

PATHS = ("/v1/functions/app-fn/search-keys", "/api/v1/functions/app-fn/search-keys")
KEYS = {"order_id": "event.data.order_id"}


def _index(service: Service) -> None:
    """Let a second pass, and look at the runs from before the keys."""
    service.engine.now += timedelta(seconds=1)
    while search_key_walk.walk(service.engine.ctx):
        pass


@pytest.mark.parametrize("path", PATHS)
def test_declare_show_and_remove(service: Service, path: str) -> None:
    client = service.client
    put = client.put(path, json={"keys": KEYS})
    assert put.status_code == 200
    key = {"name": "order_id", "path": "event.data.order_id", "indexed": False}
    assert put.json["data"]["keys"] == [key | {"done": 0, "total": None}]
    assert put.json["data"]["id"] == "app-fn"
    assert client.get(path).json == put.json
    refused = client.put(path, json={"keys": {"order_id": "order_id"}})
    assert refused.status_code == 400
    assert "keys.order_id must be a path such as event.data.order_id" in refused.json["error"]
    assert client.delete(path).json["data"]["keys"] == []
    assert client.get(path.replace("app-fn", "nope")).status_code == 404


def test_runs_are_listed_by_key(service: Service) -> None:
    client = service.client
    client.put(PATHS[0], json={"keys": KEYS})
    run_id = service.engine.start(data={"order_id": "A:1 é"})
    service.engine.start(data={"order_id": "A-2"})
    for query in ("key=order_id:A:1 é", "key.order_id=A:1 é"):
        listed = client.get(f"/api/v1/runs?{query}").json
        assert [run["id"] for run in listed["data"]] == [run_id]
    refused = client.get("/api/v1/runs?key.total=1")
    assert refused.status_code == 400
    assert "no function declares the search key total" in refused.json["error"]
    waits = client.get("/v1/operations/preview?key=order_id:A-2")
    assert (waits.status_code, "still being indexed" in waits.text) == (409, True)
    _index(service)  # operations also take what was there before them alone
    preview = client.get("/v1/operations/preview?key=order_id:A-2").json["data"]
    assert preview["total"] == 1
    twice = client.get("/v1/operations/preview?key=order_id:A-1&key=order_id:A-2")
    assert (twice.status_code, "given twice" in twice.text) == (400, True)


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
def test_the_command_line_declares_and_finds(service: Service, served: str) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(cli, [*words, "--url", served])
        assert done.exit_code == 0, done.output
        return done.output

    assert "no search keys" in run("functions", "keys", "app-fn")
    told = run("functions", "keys", "app-fn", "--set", "order_id=event.data.order_id")
    assert "order_id" in told and "event.data.order_id" in told
    run("functions", "keys", "app-fn", "--set", "region=event.data.region")
    assert "order_id" in run("functions", "keys", "app-fn", "--remove", "region")
    run_id = service.engine.start(data={"order_id": "A-1"})
    service.engine.start(data={"order_id": "A-2"})
    listed = run("runs", "list", "--key", "order_id=A-1")
    assert run_id in listed and len(listed.splitlines()) == 1
    _index(service)
    begun = run("operations", "begin", "rerun", "--key", "order_id=A-1", "--dry-run", "--json")
    assert json.loads(begun)["total"] == 1
    assert "no search keys" in run("functions", "keys", "app-fn", "--clear")
