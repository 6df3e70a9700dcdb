"""kill -9 at random moments: every accepted event's run ends, each step's result stored once."""

import random
import sys
import threading
from pathlib import Path

import pytest
import requests

from tests.acceptance.checks import all_complete, live, repeats
from tests.endpoint import STEPS, Endpoint, send
from tests.processes import Process, Server, wait_until
from tests.servers import Postgres, Valkey

KILLS = 20
IN_FLIGHT = 100
FAST_RETRIES = {"INNGEST_RETRY_INTERVAL": "0.5"}


def pause(chance: random.Random, longest: float) -> None:
    """Let a random time pass, so that the kill falls anywhere."""
    threading.Event().wait(chance.uniform(0, longest))


def test_the_embedded_server_is_killed_twenty_times(tmp_path: Path) -> None:
    chance = random.Random(20260101)
    url = f"sqlite:///{tmp_path / 'x.db'}"
    args = ("--database-url", url, "--concurrency", str(IN_FLIGHT))
    server = Server("start", *args, log=tmp_path / "server.log", env=FAST_RETRIES)
    with Endpoint() as endpoint, server:
        server.start()
        endpoint.register(server.url)
        sent: list[str] = []
        for _ in range(KILLS):
            sent += send(server.url, 10)
            pause(chance, 0.25)
            server.kill9()
            server.start()
        assert len(all_complete(server.url, sent)) == KILLS * 10
        # a step body runs again only where a call was cut
        assert repeats(endpoint) <= KILLS * IN_FLIGHT


def asleep(server: str) -> int:
    """Count the runs whose next item is the end of a sleep."""
    jobs = [requests.get(f"{server}/v1/runs/{run}/jobs", timeout=10) for run in live(server)]
    return sum(job["kind"] == "sleep" for reply in jobs for job in reply.json()["data"])


@pytest.mark.parametrize("command", ["dev", "start"])
def test_sleeping_runs_outlive_the_embedded_server(tmp_path: Path, command: str) -> None:
    database = f"sqlite:///{tmp_path / 'x.db'}"
    args = ("--database-url", database, *(("--no-discovery",) if command == "dev" else ()))
    with Endpoint() as endpoint, Server(command, *args, log=tmp_path / "server.log") as server:
        server.start()
        endpoint.register(server.url)
        sent = send(server.url, 20, sleep="2s")
        wait_until(lambda: asleep(server.url) == 20, 20, "all to be asleep")
        server.kill9()
        server.start()
        all_complete(server.url, sent, 30)
        assert len(endpoint.calls) == 20 * (STEPS + 1)


def test_workers_and_api_are_killed_on_postgresql(
    postgres: Postgres, valkey: Valkey, tmp_path: Path
) -> None:
    chance = random.Random(20260102)
    env = {
        **FAST_RETRIES,
        "DATABASE_URL": postgres.create_database(),
        "REDIS_URL": valkey.url,
        "INNGEST_LEASE_SECONDS": "3",
    }
    api = Server("api", log=tmp_path / "api.log", env=env)
    workers = [_worker(f"w{number}", tmp_path, env) for number in (1, 2)]
    with Endpoint() as endpoint, api, workers[0], workers[1]:
        api.start()
        endpoint.register(api.url)
        for worker in workers:
            worker.start()
        sent: list[str] = []
        for round_ in range(KILLS):
            sent += send(api.url, 10)
            pause(chance, 0.5)
            victim = api if round_ % 4 == 3 else workers[round_ % 2]
            victim.kill9()
            victim.start()
        assert len(all_complete(api.url, sent, 90)) == KILLS * 10
        assert repeats(endpoint) <= KILLS * IN_FLIGHT


def _worker(name: str, folder: Path, env: dict[str, str]) -> Process:
    argv = ["celery", "-A", "inngest_py", "worker", "-P", "gevent", "-c", "50"]
    return Process([sys.executable, "-m", *argv, "-n", f"{name}@test"], folder / f"{name}.log", env)
