"""Every run of an accepted event completes, although API, workers, broker and database fail."""

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
    seed,
)
from tests.processes import Process, Server, free_port, wait_until
from tests.raw_sdk import STEPS
from tests.servers import Postgres, Valkey

RUNS, KILLS = (200, 20) if FULL else (100, 5)
IN_FLIGHT = 50
TAKES = 0.2
LEASE = 3
LONGEST_CALL = TAKES + 3


class Installation:
    """An API, two workers and the app, all on one PostgreSQL and one Valkey."""

    def __init__(self, folder: Path, database_url: str, broker_url: str) -> None:
        port = free_port()
        self.app = RawApp(folder, f"http://127.0.0.1:{port}")
        env = {
            "DATABASE_URL": database_url,
            "REDIS_URL": broker_url,
            "INNGEST_DEV": "1",
            "INNGEST_LEASE_SECONDS": str(LEASE),
            "INNGEST_RETRY_INTERVAL": "1",
        }
        args = ("-u", self.app.url, "--poll-interval", "0.5")
        self.api = Server("api", *args, log=folder / "api.log", env=env, port=port)
        argv = [sys.executable, "-m", "celery", "-A", "inngest_py", "worker"]
        argv += ["-P", "gevent", "-c", str(IN_FLIGHT)]
        self.workers = [
            Process([*argv, "-n", f"{name}@test"], folder / f"{name}.log", env)
            for name in ("one", "two")
        ]

    def send(self, chance: random.Random, count: int) -> list[str]:
        """Send events until they are accepted, whatever happens to the API meanwhile."""
        return post(self.api.url, seed(chance), count, takes=TAKES)

    def progress(self) -> None:
        """Wait until a step runs that had not run when this was called."""
        before = len(self.app.effects())
        wait_until(lambda: len(self.app.effects()) > before, 30, "a step to run")

    def done(self, sent: list[str], cuts: list[Cut]) -> int:
        """Wait for the end of every run; count the step bodies that ran again."""
        all_completed(self.api.url, sent, timeout=60)
        effects = self.app.effects()
        repeats = only_where_cut(effects, cuts, LONGEST_CALL)
        assert len(effects) == len(sent) * STEPS + repeats
        return repeats


@pytest.fixture
def installation(postgres: Postgres, valkey: Valkey, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path, postgres.create_database(), valkey.url)
    one, two = made.workers
    with made.app.up(), made.api.start(), one.start(), two.start():
        wait_until(lambda: registered(made.api.url), 20, "the app to be registered")
        yield made


def during(action: Callable[[], None]) -> Cut:
    """Do something, and return when it began and ended."""
    before = time.time()
    action()
    return before, time.time()


def pause(chance: random.Random, longest: float) -> None:
    """Wait for a random time, so that the next failure may come at any moment."""
    threading.Event().wait(chance.uniform(0, longest))


def test_runs_survive_kills_of_workers_and_api(installation: Installation) -> None:
    """Slow: killed processes start again each time, and their leases lapse."""
    chance = random.Random(20260104)
    each = RUNS // KILLS
    cuts: list[Cut] = []
    sent: list[str] = []
    with ThreadPoolExecutor(1) as sender:
        for number in range(KILLS):
            # under way while the API is killed: the answer may be lost after the commit
            sending = sender.submit(installation.send, random.Random(number), each)
            victim = chance.choice([installation.api, *installation.workers])
            if victim is installation.api:
                pause(chance, 0.05)
                victim.kill9()
            else:
                installation.progress()
                pause(chance, 0.3)
                cuts.append(during(victim.kill9))
            Process.start(victim)  # as a supervisor does, without waiting until it is ready
            sent += sending.result(60)
    assert len(set(sent)) == RUNS
    assert installation.done(sent, cuts) <= len(cuts) * IN_FLIGHT


def test_runs_survive_a_broker_that_loses_everything(
    installation: Installation, valkey: Valkey
) -> None:
    chance = random.Random(20260106)
    sent: list[str] = []
    for interrupt in (valkey.flush, valkey.stop, valkey.start, valkey.restart, valkey.flush):
        sent += installation.send(chance, RUNS // 5)
        pause(chance, 0.3)
        interrupt()
    # rows are the truth: no call was cut, so none is made again
    assert installation.done(sent, []) == 0


@pytest.mark.parametrize("mode", ["fast", "immediate"] if FULL else ["immediate"])
def test_runs_survive_restarts_of_postgresql(
    installation: Installation, postgres: Postgres, mode: str
) -> None:
    chance = random.Random(20260107)
    sent = installation.send(chance, RUNS)
    installation.progress()
    pause(chance, 0.5)

    def restart() -> None:
        postgres.stop(mode)
        postgres.start()

    cut = during(restart)
    assert len({(effect.run, effect.step) for effect in installation.app.effects()}) < RUNS * STEPS
    # leases may lapse while no worker can extend them
    assert installation.done(sent, [(cut[0], cut[1] + LEASE)]) <= RUNS
