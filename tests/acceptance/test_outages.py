"""The broker and the database go away mid-run; the SDK app misbehaves."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.acceptance.checks import all_complete
from tests.endpoint import Endpoint, send
from tests.processes import Process, Server, wait_until
from tests.servers import Postgres, Valkey

RUNS = 100


@pytest.fixture
def server(postgres: Postgres, valkey: Valkey, tmp_path: Path) -> Iterator[Server]:
    env = {
        "DATABASE_URL": postgres.create_database(),
        "REDIS_URL": valkey.url,
        "INNGEST_RETRY_INTERVAL": "0.5",
        "INNGEST_LEASE_SECONDS": "5",
    }
    argv = [sys.executable, "-m", "celery", "-A", "inngest_py", "worker", "-P", "gevent"]
    worker = Process([*argv, "-c", "50", "-n", "w@test"], tmp_path / "worker.log", env)
    with Server("api", log=tmp_path / "api.log", env=env) as api, worker:
        api.start()
        worker.start()
        yield api


def test_the_broker_is_flushed_stopped_and_restarted_empty(server: Server, valkey: Valkey) -> None:
    with Endpoint() as endpoint:
        endpoint.register(server.url)
        sent = send(server.url, RUNS)
        valkey.flush()
        sent += send(server.url, RUNS)
        valkey.stop()
        sent += send(server.url, RUNS)  # still accepted, at once
        valkey.start()
        sent += send(server.url, RUNS)
        all_complete(server.url, sent, 90)


def test_postgresql_is_restarted(server: Server, postgres: Postgres) -> None:
    with Endpoint() as endpoint:
        endpoint.register(server.url)
        sent = send(server.url, RUNS)
        wait_until(lambda: endpoint.calls, 30, "the first call")
        postgres.restart()
        wait_until(lambda: server.healthy, 30, "the server to be well again")
        sent += send(server.url, RUNS)
        all_complete(server.url, sent, 90)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Server]:
    args = ("--no-discovery", "--db", str(tmp_path / "x.db"), "--retry-interval", "0.3")
    with Server("dev", *args, log=tmp_path / "server.log") as server:
        yield server.start()


@pytest.mark.parametrize("mood", ["garbage", "cut", "huge", "slow", "500"])
def test_an_app_that_misbehaves_once_is_called_again(embedded: Server, mood: str) -> None:
    with Endpoint() as endpoint:
        endpoint.mood = mood
        endpoint.register(embedded.url)
        sent = send(embedded.url)
        (run_id,) = all_complete(embedded.url, sent, 30)
        shown = requests.get(f"{embedded.url}/api/v1/runs/{run_id}", timeout=10).json()["data"]
        failed = [attempt for attempt in shown["attempts"] if attempt["status"] == "errored"]
        assert len(failed) == (0 if mood == "slow" else 1)


def test_an_app_that_is_down_is_called_until_it_is_back(embedded: Server) -> None:
    with Endpoint() as gone:
        gone.register(embedded.url)
        port = gone.port
    sent = send(embedded.url)

    def tried() -> bool:
        runs = requests.get(f"{embedded.url}/api/v1/runs", timeout=10).json()["data"]
        path = f"{embedded.url}/api/v1/runs/{runs[0]['id']}"
        return bool(requests.get(path, timeout=10).json()["data"]["attempts"])

    wait_until(tried, 20, "a failed attempt")
    with Endpoint(port):
        all_complete(embedded.url, sent, 30)
