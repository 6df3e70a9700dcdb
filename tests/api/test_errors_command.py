"""The command `errors`, over the real routes."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from inngest_py.cli import cli
from inngest_py.cli.errors import commands
from inngest_py.cli.operations import beginning as operations
from tests.api.conftest import Service
from tests.api.test_errors import fail
from tests.factories import reply


@pytest.fixture
def command(service: Service, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run `errors` in this process, with the test's API in place of a server."""

    def call(method: str, url: str, **options: Any) -> Any:
        path, query = url.removeprefix("http://server"), options.get("params") or {}
        given = {name: value for name, value in query.items() if value is not None}
        answered = service.client.open(
            path, method=method, json=options.get("json"), query_string=given
        )
        assert answered.status_code in (200, 201), answered.json
        return answered.json

    def run(*args: str) -> str:
        done = CliRunner().invoke(cli, ["errors", *args, "--url", "http://server"])
        assert done.exit_code == 0, done.output
        return done.output

    monkeypatch.setattr(commands, "call", call)
    monkeypatch.setattr(operations, "call", call)
    return run


def test_errors_are_listed_shown_and_changed_by_command(service: Service, command: Any) -> None:
    assert "no errors that are open" in command("list")
    service.engine.now = datetime.now(UTC) - timedelta(minutes=1)
    [run_id] = fail(service, "'tea'")
    [found] = json.loads(command("list", "--json"))["data"]
    error_id, line = found["id"], command("list")
    for told in (error_id, "open", "1 run ", "app-fn", "Gone: 'tea' is gone"):
        assert told in line
    shown = command("show", error_id)
    for told in ("1 failed, 1 of them not run again", f"run {run_id}", "version js v4.0.0"):
        assert told in shown
    assert json.loads(command("show", error_id, "--json"))["data"]["runs"] == 1
    assert f"{error_id} is muted until 20" in command("mute", error_id, "--for", "2h")
    assert f"{error_id} is muted: Gone" in command("mute", error_id)
    assert error_id not in command("list")
    assert error_id in command("list", "--state", "muted", "--function", "app-fn")
    assert f"{error_id} is resolved: Gone" in command("resolve", error_id)
    service.engine.now += timedelta(seconds=1)
    fail(service, "'tea'")
    assert "regressed" in command("list", "--all")
    assert json.loads(command("open", error_id, "--json"))["data"]["state"] == "open"


def test_what_is_tried_again_is_told_by_command(service: Service, command: Any) -> None:
    assert "no run is tried again" in command("retrying")
    engine = service.engine
    error = {"name": "ConnectionError", "message": "no route"}
    engine.sdk.script = lambda request, target: reply(500, error)
    engine.start()
    engine.drain()
    line = command("retrying", "--function", "app-fn", "--app", "app")
    for told in ("1 run ", "next at 20", "app-fn", "ConnectionError: no route"):
        assert told in line
    assert json.loads(command("retrying", "--json"))["data"][0]["runs"] == 1
    assert "no run is tried again" in command("retrying", "--app", "nobody")


def test_the_runs_of_an_error_are_run_again_by_command(service: Service, command: Any) -> None:
    service.engine.now = datetime.now(UTC) - timedelta(minutes=1)
    fail(service, "'tea'")
    [found] = json.loads(command("list", "--json"))["data"]
    assert "Run again 1 failed run" in command("rerun", found["id"], "--dry-run")
    begun = json.loads(command("rerun", found["id"], "--rate", "5", "--json"))
    assert (begun["state"], begun["total"], begun["rate"]) == ("running", 1, 5)
    assert service.client.get(f"/v1/operations/{begun['id']}").json["data"]["total"] == 1
