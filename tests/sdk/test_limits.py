"""Limits of a real app: a waiting run says why it waits, and runs when the limit is raised."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.command import command
from tests.processes import LOOPBACK, Process, Server, answers, free_port, wait_until
from tests.sdk.apps import effects
from tests.sdk.client import Api
from tests.servers import Postgres, Valkey

APP = "python-limits"


class Limited:
    """The app and the server that it is registered with."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.url, self.api, self.go = server.url, Api(server.url), folder / "go"
        self.effects = folder / "effects"

    def running(self) -> list[str]:
        """The runs whose step has begun, in order."""
        return [line["run_id"] for line in effects.written(self.effects)]

    def run_id(self, event_id: str) -> str:
        found = wait_until(lambda: self.api.runs(event_id), 20, "the run exists")
        return str(found[0]["run_id"])

    def why(self, run_id: str) -> dict[str, Any]:
        reply = requests.get(f"{self.url}/v1/runs/{run_id}/why", timeout=10)
        assert reply.status_code == 200, reply.text
        [reason] = reply.json()["data"]["reasons"]
        return dict(reason)

    def limit(self, function: str, **body: Any) -> None:
        path = f"{self.url}/v1/functions/{APP}-{function}/limits"
        reply = requests.put(path, json=body, timeout=10)
        assert reply.status_code == 200, reply.text

    def command(self, *args: str) -> str:
        done = command(*args, "--url", self.url)
        assert done.exit_code == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module", params=["embedded", "several"])
def limited(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Limited]:
    folder = tmp_path_factory.mktemp(request.param)
    log = folder / "server.log"
    if request.param == "embedded":
        args = ("--db", str(folder / "server.db"), "--no-discovery", "--no-poll")
        made = Server("dev", *args, log=log)
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        valkey: Valkey = request.getfixturevalue("session_valkey")
        urls = ("--database-url", postgres.create_database(), "--broker-url", valkey.url_of(2))
        made = Server("start", *urls, "--workers", "2", log=log, env={"INNGEST_DEV": "1"})
    with made as server:
        found = Limited(server.start(), folder)
        port = free_port()
        argv = [sys.executable, "-m", "tests.sdk.apps.limits_app", str(port)]
        env = {
            "INNGEST_DEV": found.url,
            "EFFECTS": str(found.effects),
            "GO": str(found.go),
            "INNGEST_SIGNING_KEY": None,
            "INNGEST_EVENT_KEY": None,
        }
        with Process(argv, log=folder / "app.log", env=env) as app:
            app.start()
            serve = f"http://{LOOPBACK}:{port}/api/inngest"
            app.wait_ready(lambda: answers(serve))
            assert requests.put(serve, timeout=20).status_code == 200, app.log_tail()
            yield found
            found.go.touch()


def test_raised_limit_lets_in_the_waiting_run(limited: Limited) -> None:
    sent = [limited.api.send(f"{APP}/limited", {"tenant": "t"}) for _ in range(2)]
    runs = {limited.run_id(event_id) for event_id in sent}
    [holder] = wait_until(limited.running, 60, "one run holds the slot")
    [waiter] = runs - {holder}
    reason = limited.why(waiter)
    assert reason["kind"] == "concurrency"
    assert reason["details"]["holders"] == [holder]
    assert (reason["details"]["key"], reason["details"]["value"]) == ("event.data.tenant", "t")
    assert limited.why(holder)["kind"] == "call"
    assert f"Slots are held by {holder}" in limited.command("runs", "why", waiter)
    rule = {"limit": 2, "key": "event.data.tenant"}
    limited.limit("limited", concurrency=[rule], expiresIn="1h", by="test")
    wait_until(lambda: limited.running() == [holder, waiter], 20, "the other one runs, too")
    assert "2 steps at a time" in limited.command("functions", "list")
    assert '"set_by": "test"' in limited.command("functions", "limits", f"{APP}-limited")
    limited.command("functions", "limits", f"{APP}-limited", "--clear")
    limited.go.touch()
    for event_id in sent:
        assert limited.api.run(event_id)["status"] == "Completed"
    assert limited.why(waiter)["kind"] == "ended"


def test_lifted_throttle_lets_in_its_waiting_line(limited: Limited) -> None:
    sent = [limited.api.send(f"{APP}/throttled") for _ in range(3)]
    runs = [limited.run_id(event_id) for event_id in sent]

    def waiting() -> list[dict[str, Any]]:
        found = [limited.why(run_id) for run_id in runs]
        done = [one for one in found if one["kind"] == "ended"]
        left = [one for one in found if one["kind"] == "throttle"]
        return left if len(done) == 1 and len(left) == 2 else []

    left = wait_until(waiting, 20, "one has run and two wait")
    assert sorted(one["details"]["ahead"] for one in left) == [0, 1]
    limited.limit("throttled", throttle=None)
    for event_id in sent:
        assert limited.api.run(event_id)["status"] == "Completed"
