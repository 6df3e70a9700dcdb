"""Runs complete although their app misbehaves on every first attempt, or is down for a while."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.raw_app import RawApp, post, registered, runs, seed, show
from tests.processes import Server, free_port, wait_until
from tests.raw_sdk import BRANCHES, MOODS, STEPS

CHANCE = random.Random(20260105)


@dataclass
class Embedded:
    """A dev server with its app."""

    server: Server
    app: RawApp

    def run(self, name: str = "seq5", **data: object) -> str:
        """Send an event and return the id of its run."""
        (event_id,) = post(self.server.url, seed(CHANCE), 1, name, **data)
        (run_id,) = [run["id"] for run in runs(self.server.url) if run["event_id"] == event_id]
        return str(run_id)

    def completed(self, run_id: str, steps: int = STEPS) -> dict[str, Counter[str]]:
        """Wait for the run's end; count how each step went and how often its body ran."""
        url = self.server.url
        wait_until(lambda: show(url, run_id)["ended_at"], 30, "the run to end")
        shown = show(url, run_id)
        assert shown["status"] == "completed", shown
        assert len({step["id"] for step in shown["steps"]}) == len(shown["steps"]) == steps
        bodies = Counter(effect.step for effect in self.app.effects() if effect.run == run_id)
        return {
            "attempts": Counter(attempt["status"] for attempt in shown["attempts"]),
            "bodies": bodies,
        }


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    folder, port = tmp_path_factory.mktemp("bad_apps"), free_port()
    app = RawApp(folder, f"http://127.0.0.1:{port}")
    args = ("--db", str(Path(folder) / "x.db"), "--no-discovery", "--retry-interval", "0.3")
    server = Server("dev", *args, "-u", app.url, log=folder / "server.log", port=port)
    with app.up(), server.start():
        wait_until(lambda: registered(server.url), 20, "the app to be registered")
        yield Embedded(server, app)


@pytest.mark.parametrize("mood", MOODS)
def test_every_first_attempt_fails(embedded: Embedded, mood: str) -> None:
    found = embedded.completed(embedded.run(mood=mood))
    tries = 1 if mood == "slow" else 2
    assert found["bodies"] == {f"s{number}": tries for number in range(STEPS)}
    # the last request, which returns the result, fails as well
    assert found["attempts"]["errored"] == (0 if mood == "slow" else STEPS + 1)


@pytest.mark.parametrize("mood", MOODS)
def test_first_attempts_of_parallel_steps_fail(embedded: Embedded, mood: str) -> None:
    found = embedded.completed(embedded.run("par3", mood=mood), steps=BRANCHES)
    tries = 1 if mood == "slow" else 2
    assert found["bodies"] == {f"p{number}": tries for number in range(BRANCHES)}


def test_app_that_always_asks_for_a_stored_step(embedded: Embedded) -> None:
    """The run fails and says why, after ten rounds, most of them a second apart."""
    url, run_id = embedded.server.url, embedded.run(stuck=True)
    wait_until(lambda: show(url, run_id)["ended_at"], 60, "the run to end")
    shown = show(url, run_id)
    assert (shown["status"], shown["output"]["error"]["name"]) == ("failed", "NoProgress")
    assert not shown["queued"]
    assert [effect.step for effect in embedded.app.effects() if effect.run == run_id] == ["s0"]


def test_app_is_down_for_a_while(embedded: Embedded) -> None:
    app, url = embedded.app, embedded.server.url
    app.kill9()
    run_id = embedded.run()
    wait_until(lambda: show(url, run_id)["attempts"], 20, "a failed attempt")
    app.up()
    found = embedded.completed(run_id)
    assert found["bodies"] == {f"s{number}": 1 for number in range(STEPS)}
    assert found["attempts"]["errored"] >= 1


def test_app_dies_during_a_call(embedded: Embedded) -> None:
    app = embedded.app
    run_id = embedded.run(takes=0.5)
    wait_until(lambda: any(effect.run == run_id for effect in app.effects()), 20, "the first step")
    app.kill9()
    app.up()
    found = embedded.completed(run_id)
    assert found["bodies"]["s0"] == 2
    assert found["attempts"]["errored"] >= 1
