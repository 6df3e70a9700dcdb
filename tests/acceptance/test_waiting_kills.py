"""Servers are killed while runs wait and invoke: nothing is lost, and no run waits for ever."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.full_size import FULL, WITH_KILLS
from tests.acceptance.raw_app import post_events, registered, runs, seed, show
from tests.acceptance.test_distributed_kills import Installation
from tests.acceptance.test_embedded_kills import COMMANDS, embedded
from tests.processes import Process, wait_until
from tests.raw_sdk import STEPS
from tests.servers import Postgres, Valkey

WAITERS = 40
INVOKERS = 20
KILLS = 6 if FULL else 3


def _events(name: str, count: int, **data: Any) -> list[dict[str, Any]]:
    return [{"name": f"raw/{name}", "data": {"n": n, **data}} for n in range(count)]


def _waiting(url: str) -> bool:
    try:
        query = {"function": "raw-waiter", "status": "running", "limit": 100}
        found = requests.get(f"{url}/api/v1/runs", params=query, timeout=10)
        listed = found.json()["data"] if found.ok else []
        return len(listed) == WAITERS and all(
            [job["kind"] for job in show(url, run["id"])["queued"]] == ["pause"] for run in listed
        )
    except requests.RequestException:
        return False


def _all_ended(url: str) -> bool:
    try:
        query: dict[str, Any] = {"status": ["queued", "running"], "limit": 1}
        reply = requests.get(f"{url}/api/v1/runs", params=query, timeout=10)
    except requests.RequestException:
        return False
    return reply.ok and not reply.json()["data"]


def _interrupted(url: str, chance: random.Random, kill: Callable[[], None]) -> None:
    """Let runs wait and invoke, kill processes while the runs are resumed, check all runs."""
    post_events(url, seed(chance), _events("invoker", INVOKERS, takes=0.1))
    post_events(url, seed(chance), _events("waiter", WAITERS))
    wait_until(lambda: _waiting(url), 60, "all waiters to wait")
    going = _events("go", WAITERS)
    per_kill = -(-WAITERS // KILLS)
    for number in range(KILLS):
        part = going[number * per_kill : (number + 1) * per_kill]
        sender = threading.Thread(target=post_events, args=(url, seed(chance), part))
        sender.start()
        threading.Event().wait(chance.uniform(0, 0.1))
        kill()
        sender.join(90)
        assert not sender.is_alive()
    wait_until(lambda: _all_ended(url), 90, "every run to end")
    found = runs(url)
    assert Counter(run["function"] for run in found) == {
        "raw-waiter": WAITERS,
        "raw-invoker": INVOKERS,
        "raw-seq5": INVOKERS,  # each was invoked once
    }
    woken = []
    for run in found:
        shown = show(url, run["id"])
        assert shown["status"] == "completed", shown
        assert not shown["queued"], shown
        if run["function"] == "raw-waiter":
            assert shown["output"]["name"] == "raw/go", shown
            woken.append(shown["output"]["data"]["n"])
        elif run["function"] == "raw-invoker":
            assert shown["output"] == {"data": {"done": STEPS}}, shown
    assert sorted(woken) == list(range(WAITERS))


@pytest.mark.parametrize("command", COMMANDS)
def test_waits_survive_kills_of_the_embedded_server(tmp_path: Path, command: str) -> None:
    """Slow: a server starts again after each kill."""
    server, app = embedded(command, tmp_path)
    with app.up(), server.start():
        wait_until(lambda: registered(server.url), 20, "the app to be registered")

        def kill() -> None:
            server.kill9()
            server.start()

        _interrupted(server.url, random.Random(20260110), kill)


@WITH_KILLS
def test_waits_survive_kills_of_workers_and_api(
    postgres: Postgres, valkey: Valkey, tmp_path: Path
) -> None:
    """Slow: what is killed starts again each time."""
    made = Installation(tmp_path, postgres.create_database(), valkey.url)
    one, two = made.workers
    chance = random.Random(20260111)
    with made.app.up(), made.api.start(), one.start(), two.start():
        wait_until(lambda: registered(made.api.url), 20, "the app to be registered")

        def kill() -> None:
            victim = chance.choice([made.api, one, two])
            victim.kill9()
            Process.start(victim)

        _interrupted(made.api.url, chance, kill)
