"""The embedded server is killed repeatedly: every run ends, and only cut calls are repeated."""

import random
import threading
import time
from pathlib import Path

import pytest

from tests.acceptance.full_size import FULL
from tests.acceptance.raw_app import (
    Cut,
    RawApp,
    all_completed,
    only_where_cut,
    post,
    registered,
    runs,
    seed,
    show,
)
from tests.processes import Server, free_port, wait_until
from tests.raw_sdk import STEPS

RUNS = 200
# `dev` is `start` with other defaults
KILLS = {"dev": 8, "start": 20} if FULL else {"start": 5}
COMMANDS = tuple(KILLS)
# so few and so slow that the runs are still under way at the last kill
IN_FLIGHT = 25
TAKES = 0.2
LONGEST_CALL = TAKES + 3
SLEEPERS = 20
NAP = 6  # seconds, enough for all to be seen asleep on a busy machine


def embedded(command: str, folder: Path) -> tuple[Server, RawApp]:
    """Make a server on a SQLite file, and its app."""
    port, file = free_port(), folder / "x.db"
    app = RawApp(folder, f"http://127.0.0.1:{port}")
    where = {
        "dev": ("--db", str(file), "--no-discovery"),
        "start": ("--dev", "--database-url", f"sqlite:///{file}"),
    }
    args = (*where[command], "--retry-interval", "1", "-u", app.url)
    concurrency = ("--concurrency", str(IN_FLIGHT))
    return Server(command, *args, *concurrency, log=folder / "server.log", port=port), app


def kill(server: Server) -> Cut:
    """Kill the server and say when."""
    before = time.time()
    server.kill9()
    return before, time.time()


@pytest.mark.parametrize("command", COMMANDS)
def test_two_hundred_runs_survive_every_kill(tmp_path: Path, command: str) -> None:
    """Slow: a server starts again after each kill, with a thousand steps to run."""
    chance = random.Random(20260103)
    server, app = embedded(command, tmp_path)
    with app.up(), server.start():
        wait_until(lambda: registered(server.url), 20, "the app to be registered")
        sent = post(server.url, seed(chance), RUNS, takes=TAKES)
        assert len(sent) == RUNS
        cuts: list[Cut] = []
        for _ in range(KILLS[command]):
            threading.Event().wait(chance.uniform(0.02, 0.5))
            cuts.append(kill(server))
            left = RUNS * STEPS - len({(effect.run, effect.step) for effect in app.effects()})
            assert left > 0, "the runs ended before the last kill: nothing was under way"
            server.start()
        all_completed(server.url, sent)
        effects = app.effects()
        repeats = only_where_cut(effects, cuts, LONGEST_CALL)
        assert len(effects) == RUNS * STEPS + repeats
        assert 0 < repeats <= KILLS[command] * IN_FLIGHT


@pytest.mark.parametrize("command", COMMANDS)
def test_sleeps_that_ended_while_the_server_was_dead_resume(tmp_path: Path, command: str) -> None:
    server, app = embedded(command, tmp_path)
    with app.up(), server.start():
        wait_until(lambda: registered(server.url), 20, "the app to be registered")
        sent = post(server.url, seed(random.Random(1)), SLEEPERS, "sleeper", seconds=NAP)

        def asleep() -> bool:
            queued = [show(server.url, run["id"])["queued"] for run in runs(server.url)]
            return [job["kind"] for jobs in queued for job in jobs] == ["sleep"] * SLEEPERS

        wait_until(asleep, NAP - 1, "all to be asleep")
        server.kill9()
        due = time.time() + NAP
        wait_until(lambda: time.time() > due, NAP + 5, "the sleeps to be over")
        server.start()
        all_completed(server.url, sent, steps=1, timeout=10)


def test_runs_that_wait_for_a_retry_survive_a_kill(tmp_path: Path) -> None:
    server, app = embedded("start", tmp_path)
    with app.up(), server.start():
        wait_until(lambda: registered(server.url), 20, "the app to be registered")
        sent = post(server.url, seed(random.Random(2)), SLEEPERS, mood="500")
        wait_until(lambda: len(app.effects()) >= SLEEPERS, 20, "the first attempts to fail")
        server.kill9()
        server.start()
        all_completed(server.url, sent, timeout=30)
