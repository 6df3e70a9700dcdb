"""The commands on runs, events and apps, over the real routes."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from inngest_py.cli import client
from inngest_py.cli.runs import tail
from tests.api.conftest import Service
from tests.api.test_operations import failing, finish
from tests.command import command
from tests.engine.harness import sequence

Run = Callable[..., str]


@pytest.fixture
def run(service: Service, served: str) -> Run:
    """Run a command against the test's server, whose time is that of commands."""
    service.engine.now = datetime.now(UTC) - timedelta(minutes=1)

    def call(*args: str, given: str = "", code: int = 0) -> str:
        done = command(*args, "--url", served, given=given)
        assert done.exit_code == code, done.output
        return done.output

    return call


def failed(service: Service, number: int = 1) -> list[str]:
    service.engine.sdk.script = failing
    made = [service.engine.start(data={"n": n}) for n in range(number)]
    service.engine.drain()
    service.engine.now += timedelta(seconds=1)
    service.engine.sdk.script = sequence("a")
    return made


def test_runs_are_listed_shown_and_run_again_by_their_ids(service: Service, run: Run) -> None:
    assert "no runs" in run("runs", "list", "--status", "sleeping")
    assert "no runs" in run("runs", "list", "--function", "app-fn", "--app", "app")
    refused = run("runs", "list", "--function", "app-gone", code=1)
    assert "--function: there is no function app-gone: see inngest-py functions list" in refused
    [run_id] = failed(service)
    line = run("runs", "list", "--app", "app", "--text", "no stock", "--since", "1w")
    assert run_id in line and "failed" in line and "Error: no stock" in line
    [found] = json.loads(run("runs", "list", "--cel", "event.data.n == 0", "--json"))
    assert (found["id"], found["error"]["message"]) == (run_id, "no stock")
    shown = run("runs", "show", run_id)
    assert "event    a/b" in shown and "error    Error: no stock" in shown
    assert json.loads(run("runs", "show", run_id, "--json"))["attempts"]
    told = run("runs", "rerun", run_id)
    assert told.startswith(f"{run_id} runs again as ")
    new_id = told.split()[-1]
    [cancelled] = json.loads(run("runs", "cancel", new_id, "--json"))
    assert cancelled == {"id": new_id, "was": "queued"}
    assert "had ended already: cancelled" in run("runs", "cancel", new_id)


def test_many_runs_are_counted_before_an_operation_begins(service: Service, run: Run) -> None:
    failed(service, 3)
    chosen = ("runs", "rerun", "--status", "failed", "--function", "app-fn")
    for given in ("", "n\n"):
        refused = run(*chosen, given=given, code=1)
        assert "Run again 3 failed runs of app-fn" in refused
        assert "nothing was changed" in refused
    assert "3  app-fn" in run(*chosen, "--dry-run")
    assert run("operations", "list") == "no operations\n"
    assert "Run again 3 failed runs of app-fn" in run(*chosen, given="y\n")
    finish(service)
    assert len(json.loads(run("runs", "list", "--status", "completed", "--json"))) == 3
    assert "error none does not exist" in run("runs", "rerun", "--error", "none", "--yes", code=1)


def test_a_file_of_events_is_sent_listed_and_shown(
    service: Service, run: Run, tmp_path: Path
) -> None:
    assert "no events" in run("events", "list")
    file = tmp_path / "events.jsonl"
    file.write_text("".join(f'{{"name": "a/b", "data": {{"n": {n}}}}}\n\n' for n in range(600)))
    sent = json.loads(run("events", "send", "--file", str(file), "--json"))
    assert len(set(sent)) == 600
    listed = json.loads(run("events", "list", "--name", "a/b", "--limit", "120", "--json"))
    assert [one["internal_id"] for one in listed] == sorted(sent, reverse=True)[:120]
    assert len(run("events", "list", "--since", "1w").splitlines()) == 20
    [found] = json.loads(run("events", "list", "--cel", "event.data.n == 7", "--json"))
    assert found["internal_id"] == sent[7]
    assert "no events" in run("events", "list", "--name", "c/*", "--internal")
    shown = run("events", "show", sent[0])
    assert "a/b" in shown and '"n": 0' in shown and "run 0" in shown
    assert len(json.loads(run("events", "show", sent[0], "--json"))["runs"]) == 1
    array = '[{"name": "c/d"}, {"name": "c/d", "data": 5}]'
    refused = run("events", "send", "--file", "-", given=array, code=1)
    assert "event 2 of the file: " in refused and "the 1 before it were sent" in refused


def test_apps_are_listed_synced_and_archived(service: Service, run: Run) -> None:
    assert "app " in run("apps", "list") and "1 function " in run("apps", "list")
    assert "did not sync: unreachable" in run("apps", "add", "http://127.0.0.1:9/api", code=1)
    assert "did not sync" in run("apps", "sync", "app", code=1)
    assert "does not exist" in run("apps", "sync", "nobody", code=1)
    assert "nothing was changed" in run("apps", "archive", "app", code=1)
    assert "app is archived" in run("apps", "archive", "app", given="y\n")
    names = [one["name"] for one in json.loads(run("apps", "list", "--json"))]
    assert "app" not in names


def test_runs_are_followed_as_they_start_and_end(service: Service, served: str) -> None:
    engine = service.engine
    failed(service)  # what was before is not told

    def ask(query: Any) -> Any:
        return client.call("GET", f"{served}/v1/runs", params=query)

    feeds = [tail.Feed(ask, by, {}) for by in ("started_at", "ended_at")]
    for feed in feeds:
        feed.begin(None)

    def act() -> None:
        """Stand in for the second between looks; ends the test if nothing comes."""
        assert len(acts) < 20
        acts.append(None)
        if len(acts) == 1:
            completed.append(engine.start())
            engine.drain()
        if len(acts) == 2:
            completed.extend(failed(service))

    acts: list[None] = []
    completed: list[str] = []
    news = tail.followed(feeds, act)
    told = [next(news) for _ in range(4)]
    assert [(one.what, one.run["id"]) for one in told if isinstance(one, tail.News)] == [
        ("started", completed[0]),
        ("completed", completed[0]),
        ("started", completed[1]),
        ("failed", completed[1]),
    ]


def test_following_goes_on_after_the_server_was_away(
    service: Service, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = requests.request, []

    def request(*args: Any, **options: Any) -> Any:
        calls.append(options["params"].get("since"))
        if len(calls) in (4, 5, 6):
            raise requests.ConnectionError(ConnectionRefusedError(111, "Connection refused"))
        return real(*args, **options)

    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            failed(service)
        if len(pauses) == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(requests, "request", request)
    monkeypatch.setattr(time, "sleep", pause)
    done = command("tail", "--failures", "--url", served)
    assert done.exit_code == 0, done.output
    away, back, line = done.output.splitlines()
    assert away == (
        f"nothing answers at {served} (Connection refused): start the server, or give --url;"
        " waiting for it"
    )
    assert back == "the server answers again"
    assert "failed" in line and "app-fn" in line and "Error: no stock" in line
    # ends that were held back have times from before
    assert len(calls) == 8 and len(set(calls[2:])) == 1


def test_one_run_is_followed_to_its_end(service: Service, run: Run) -> None:
    [run_id] = failed(service)
    assert "failed" in run("tail", run_id, code=1)
    good = service.engine.start()
    service.engine.drain()
    lines = [json.loads(line) for line in run("runs", "tail", good, "--json").splitlines()]
    assert (lines[0]["attempt"], lines[-1]["what"]) == (0, "completed")


def test_names_of_functions_and_apps_are_completed(
    served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words, found in (
        (f"inngest-py runs list --url {served} --function ap", "plain,app-fn"),
        (f"inngest-py apps sync --url {served} ", "plain,app"),
        ("inngest-py apps sync --url http://127.0.0.1:1 ", ""),
        ("inngest-py op", "plain,operations"),
    ):
        parts = words.split(" ")
        env = {"COMP_WORDS": words, "COMP_CWORD": str(len(parts) - 1)}
        env["_INNGEST_PY_COMPLETE"] = "bash_complete"
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        assert command().output.strip() == found, words
