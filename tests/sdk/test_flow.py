"""Flow control as the SDKs configure it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Server, wait_until

from .app_process import SdkApp
from .client import ENDED, Api


class Rules:
    """An app with a function for each rule."""

    def __init__(self, app: SdkApp, server: Server) -> None:
        self.app, self.api = app, Api(server.url)

    def send(self, rule: str, *data: dict[str, Any]) -> list[str]:
        """Send an event for each of the data, numbered, one after another."""
        numbered = [{"n": n, **one} for n, one in enumerate(data)]
        return [self.api.send(f"{self.app.kind}/{rule}", one) for one in numbered]

    def ended(self, events: list[str], count: int) -> list[dict[str, Any]]:
        """Wait until so many runs of the events have ended; return them by their first event."""

        def all_ended() -> list[dict[str, Any]]:
            found = {run["run_id"]: run for event in events for run in self.api.runs(event)}
            done = [run for run in found.values() if run["status"] in ENDED]
            return done if len(done) == len(found) == count else []

        runs: list[dict[str, Any]] = wait_until(all_ended, 20, f"{count} runs to end")
        return runs


@pytest.fixture(scope="module", params=["python-flow", "ts-v4-flow"])
def rules(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rules]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    args = ("--db", str(folder / "x.db"), "--no-discovery", "--no-poll")
    with (
        Server("dev", *args, log=folder / "server.log") as server,
        SdkApp(request.param, server.start().url, folder).start() as app,
    ):
        reply = app.register()
        assert reply.status_code == 200, f"{reply.text}\n{app.log_tail()}"
        yield Rules(app, server)


def outputs(runs: list[dict[str, Any]]) -> list[Any]:
    return [run.get("output") for run in runs]


def at(run: dict[str, Any]) -> str:
    return str(run["run_started_at"])


def test_throttle(rules: Rules) -> None:
    runs = rules.ended(rules.send("throttle", {}, {}, {}, {}), 4)
    assert sorted(outputs(runs)) == [[0], [1], [2], [3]]
    assert outputs(sorted(runs, key=at))[2:] == [[2], [3]]  # two at once, then one in two seconds


def test_priority(rules: Rules) -> None:
    runs = rules.ended(rules.send("priority", {"p": 0}, {"p": 0}, {"p": 60}), 3)
    assert outputs(sorted(runs, key=at)) == [[0], [2], [1]]


@pytest.mark.parametrize("rule", ["rate", "idempotent"])
def test_rate_limit(rules: Rules, rule: str) -> None:
    runs = rules.ended(rules.send(rule, {"k": "a"}, {"k": "a"}, {"k": "b"}), 2)
    assert sorted(outputs(runs)) == [[0], [2]]


def test_debounce(rules: Rules) -> None:
    runs = rules.ended(rules.send("debounce", {"k": "a"}, {"k": "b"}, {"k": "a"}), 2)
    assert sorted(outputs(runs)) == [[1], [2]]


def test_batch(rules: Rules) -> None:
    events = rules.send("batch", {}, {}, {}, {})
    runs = rules.ended(events, 2)
    assert sorted(outputs(runs)) == [[0, 1, 2], [3]]
    assert {run["batch_id"] for event in events for run in rules.api.runs(event)} == {
        run["batch_id"] for run in runs
    }


def test_singleton_skip(rules: Rules) -> None:
    runs = rules.ended(rules.send("skip", {"k": "a"}, {"k": "a"}, {"k": "b"}), 3)
    assert sorted(run["status"] for run in runs) == ["Completed", "Completed", "Skipped"]
    assert sorted(filter(None, outputs(runs))) == [[0], [2]]


def test_singleton_cancel(rules: Rules) -> None:
    runs = rules.ended(rules.send("cancel", {"k": "a"}, {"k": "a"}, {"k": "b"}), 3)
    assert sorted(run["status"] for run in runs) == ["Cancelled", "Completed", "Completed"]
    assert sorted(filter(None, outputs(runs))) == [[1], [2]]
