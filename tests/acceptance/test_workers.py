"""Celery workers as operators start them: every pool, from any folder, stopped in order."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests
from sqlalchemy import delete

from inngest_py.storage.db.session import Database
from inngest_py.storage.operations.workers import Worker
from inngest_py.storage.schema.testing import drop_state
from tests.endpoint import STEPS, Endpoint, send, statuses
from tests.processes import Process, Server, wait_until
from tests.servers import Postgres, Valkey

RUNS = 40
GRACE = 30  # seconds that calls may finish, and a lease lasts


@dataclass
class Installation:
    """An API on PostgreSQL and Valkey, and how to start its workers."""

    api: Server
    endpoint: Endpoint
    env: dict[str, str]
    folder: Path

    def worker(self, name: str, pool: str, concurrency: int = 4, **env: str) -> Process:
        argv = [sys.executable, "-m", "celery", "-A", "inngest_py", "worker"]
        argv += ["-P", pool, "-c", str(concurrency), "-n", f"{name}@test"]
        return Process(argv, log=self.folder / f"{name}.log", env=self.env | env)

    def workers(self) -> int:
        shown = requests.get(f"{self.api.url}/health", timeout=10).json()
        return int(shown.get("workers", -1))  # a loaded machine's database may not answer in time


@pytest.fixture(scope="module")
def api(
    postgres: Postgres, session_valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """An API for all tests of a file: its start takes longer than most of what they do with it."""
    url = postgres.create_database()
    env = {"DATABASE_URL": url, "REDIS_URL": session_valkey.url, "INNGEST_DEV": "1"}
    with Server("api", log=tmp_path_factory.mktemp("api") / "api.log", env=env) as api:
        yield api.start()


@pytest.fixture
def installation(api: Server, valkey: Valkey, tmp_path: Path) -> Iterator[Installation]:
    """The API and a new endpoint, without runs and workers of earlier tests."""
    env = {name: value for name, value in api.env.items() if value is not None}
    database = Database(env["DATABASE_URL"])
    with database.transaction() as tx:
        drop_state(tx)
        tx.execute(delete(Worker))  # killed ones would count for half a minute
    database.close()
    with Endpoint() as endpoint:
        endpoint.register(api.url)
        yield Installation(api, endpoint, env, tmp_path)


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_worker_of_every_pool_works_fully(installation: Installation, pool: str) -> None:
    """Slow: a worker starts, and separate Celery commands ask about it."""
    url = installation.api.url
    with installation.worker("one", pool) as worker:
        worker.start().wait_ready(lambda: installation.workers() == 1)
        send(url, RUNS)
        wait_until(lambda: statuses(url) == {"completed": RUNS}, 60, "all runs to complete")
        assert len(installation.endpoint.calls) == RUNS * (STEPS + 1)
        command = [sys.executable, "-m", "celery", "-A", "inngest_py", "inspect", "ping"]
        pinged = subprocess.run(
            command,
            env={**os.environ, **installation.env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "pong" in pinged.stdout
        assert worker.terminate() == 0
    wait_until(lambda: installation.workers() == 0, 10, "the worker to be gone")


# a supervisor signals the process that it started; systemd signals all processes of a service
@pytest.mark.parametrize("tell", [os.kill, os.killpg])
@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent", "solo"])
def test_stopping_worker_lets_calls_finish(
    installation: Installation, pool: str, tell: Callable[[int, int], None]
) -> None:
    url, endpoint = installation.api.url, installation.endpoint
    endpoint.hold = 2
    with installation.worker("one", pool) as worker:
        worker.start().wait_ready(lambda: installation.workers() == 1)
        send(url)
        wait_until(lambda: [number for _, number in endpoint.calls] == [0, 1, 2], 30)
        tell(worker.pid, signal.SIGTERM)
        wait_until(lambda: "shutdown (MainProcess)" in worker.log.read_text(), 30)
        endpoint.go.set()
        wait_until(lambda: not worker.running, 30, "the worker to stop")
        assert worker.returncode == 0
    with installation.worker("two", "gevent") as worker:
        worker.start()
        wait_until(lambda: statuses(url) == {"completed": 1}, 30, "the run to complete")
    assert [number for _, number in endpoint.calls] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_call_over_the_grace_time_is_given_back_at_once(
    installation: Installation, pool: str
) -> None:
    """Slow: two workers start one after the other."""
    url, endpoint = installation.api.url, installation.endpoint
    endpoint.hold = 2
    with installation.worker("one", pool, INNGEST_GRACE_SECONDS="0.5") as worker:
        worker.start().wait_ready(lambda: installation.workers() == 1)
        send(url)
        wait_until(lambda: [number for _, number in endpoint.calls] == [0, 1, 2], 30)
        assert worker.terminate() == 0
    endpoint.hold = None
    endpoint.go.set()
    # far sooner than the lease of 30 s would lapse
    with installation.worker("two", "gevent") as worker:
        worker.start()
        wait_until(lambda: statuses(url) == {"completed": 1}, 15, "the run to complete")
    assert [number for _, number in endpoint.calls] == [0, 1, 2, 2, 3, 4, 5]


@pytest.mark.parametrize("patches", ["on", "off"])
def test_full_worker_stops_after_the_grace_time(installation: Installation, patches: str) -> None:
    """Slow: hints wait in the worker for calls that do not end."""
    url, endpoint = installation.api.url, installation.endpoint
    endpoint.hold = 0
    env = {"INNGEST_GRACE_SECONDS": "0.5", "INNGEST_CELERY_PATCHES": patches}
    with installation.worker("one", "gevent", concurrency=2, **env) as worker:
        worker.start().wait_ready(lambda: installation.workers() == 1)
        for _ in range(8):
            send(url)  # a hint each
        wait_until(lambda: len(endpoint.calls) == 2, 30)
        assert worker.terminate() == 0
        assert "worker.gave_back" in worker.log.read_text()


def test_stopping_worker_does_not_wait_for_dead_children(installation: Installation) -> None:
    url, endpoint = installation.api.url, installation.endpoint
    endpoint.hold = 2
    with installation.worker("one", "prefork") as worker:
        worker.start().wait_ready(lambda: installation.workers() == 1)
        send(url)
        wait_until(lambda: [number for _, number in endpoint.calls] == [0, 1, 2], 30)
        # all at once: otherwise Celery would start new ones
        os.kill(worker.pid, signal.SIGSTOP)
        children = psutil.Process(worker.pid).children()
        for child in children:
            child.kill()
        os.kill(worker.pid, signal.SIGTERM)
        os.kill(worker.pid, signal.SIGCONT)
        began = time.monotonic()
        wait_until(lambda: not worker.running, 60, "the worker to stop")
        assert time.monotonic() - began < GRACE / 2
        assert worker.returncode == 0
    endpoint.hold = None
    with installation.worker("two", "gevent") as worker:
        worker.start()
        wait_until(lambda: statuses(url) == {"completed": 1}, GRACE / 2, "its lease to be free")


def test_cold_stop_cuts_calls_and_gives_items_back(installation: Installation) -> None:
    url, endpoint = installation.api.url, installation.endpoint
    endpoint.hold = 2
    with installation.worker("one", "prefork") as worker:
        worker.start().wait_ready(lambda: installation.workers() == 1)
        send(url)
        wait_until(lambda: [number for _, number in endpoint.calls] == [0, 1, 2], 30)
        os.kill(worker.pid, signal.SIGQUIT)
        wait_until(lambda: not worker.running, GRACE / 2, "the worker to stop")
    endpoint.hold = None
    with installation.worker("two", "gevent") as worker:
        worker.start()
        wait_until(lambda: statuses(url) == {"completed": 1}, GRACE / 2, "its lease to be free")


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_sighup_restarts_the_worker(installation: Installation, pool: str) -> None:
    url = installation.api.url
    with installation.worker("one", pool) as worker:
        worker.start().wait_ready(lambda: installation.workers() == 1)
        os.killpg(worker.pid, signal.SIGHUP)
        wait_until(lambda: worker.log.read_text().count("worker.ready") == 2, 60, "a new start")
        send(url)
        wait_until(lambda: statuses(url) == {"completed": 1}, 30, "the run to complete")
        assert worker.terminate() == 0
