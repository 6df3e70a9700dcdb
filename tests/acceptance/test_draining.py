"""A stopping server answers its open requests; SIGHUP does not make a server reload or stop."""

import http.client
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import requests
from sqlalchemy import text

from inngest_py.storage.db.session import Database
from tests.endpoint import STEPS, Endpoint, send, statuses
from tests.processes import LOOPBACK, Process, Server, Tool, wait_until
from tests.servers import Postgres, Valkey

REQUESTS = 20


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        endpoint.hold = STEPS  # the last call of a run
        yield endpoint


def ask(pool: ThreadPoolExecutor, server: Server, endpoint: Endpoint) -> list[Future[str]]:
    """Make requests that last until their runs have ended, and wait until all are under way."""
    url = f"{server.url}/api/v2/apps/raw/functions/five/invoke"

    def one() -> str:
        answer = requests.post(url, params={"wait": 60}, json={"data": {}}, timeout=90)
        answer.raise_for_status()
        return str(answer.json()["data"].get("result"))

    asked = [pool.submit(one) for _ in range(REQUESTS)]
    wait_until(lambda: [n for _, n in endpoint.calls].count(STEPS) == REQUESTS, 60, "the calls")
    return asked


def refuses(server: Server) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, server.port)) != 0


def test_stopping_api_answers_its_open_requests(
    postgres: Postgres, valkey: Valkey, endpoint: Endpoint, tmp_path: Path
) -> None:
    env = {"DATABASE_URL": postgres.create_database(), "REDIS_URL": valkey.url, "INNGEST_DEV": "1"}
    api = Server("api", log=tmp_path / "api.log", env=env)
    with ExitStack() as stack, api, Tool("worker", log=tmp_path / "w", env=env) as worker:
        api.start()
        endpoint.register(api.url)
        worker.start()
        kept = http.client.HTTPConnection(LOOPBACK, api.port)
        kept.request("GET", "/health")
        stack.callback(kept.close)
        kept.getresponse().read()  # the connection stays open, and must not delay the stop
        with ThreadPoolExecutor(REQUESTS) as pool:
            asked = ask(pool, api, endpoint)
            os.kill(api.pid, signal.SIGTERM)
            wait_until(lambda: refuses(api), 10, "no new connections to be taken")
            assert api.running
            endpoint.go.set()
            assert [one.result() for one in asked] == [str({"ok": True})] * REQUESTS
        wait_until(lambda: not api.running, 20, "the API to end")
        assert api.returncode == 0


def test_stopping_embedded_server_finishes_calls_and_answers(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    file = f"sqlite:///{tmp_path / 'x.db'}"
    with Server("start", "--dev", "--database-url", file, log=tmp_path / "log") as server:
        server.start()
        endpoint.register(server.url)
        with ThreadPoolExecutor(REQUESTS) as pool:
            asked = ask(pool, server, endpoint)
            os.kill(server.pid, signal.SIGTERM)
            wait_until(lambda: "server.stopping" in server.log_tail(), 10)
            # apps report to the API during their calls
            assert requests.get(f"{server.url}/health", timeout=10).ok
            endpoint.go.set()
            assert [one.result() for one in asked] == [str({"ok": True})] * REQUESTS
        wait_until(lambda: not server.running, 20, "the server to end")
        assert server.returncode == 0


def test_a_server_serves_on_for_the_delay_but_is_not_ready(tmp_path: Path) -> None:
    """A balancer needs some seconds to take it out."""
    file = f"sqlite:///{tmp_path / 'x.db'}"
    command = ("start", "--dev", "--database-url", file, "--drain-delay", "300")
    with Server(*command, log=tmp_path / "log") as server:
        server.start()
        ready = f"{server.url}/health/ready"
        assert requests.get(ready, timeout=10).status_code == 200
        os.kill(server.pid, signal.SIGTERM)
        wait_until(lambda: requests.get(ready, timeout=10).status_code == 503, 10)
        assert requests.get(f"{server.url}/health/live", timeout=10).ok
        assert requests.post(f"{server.url}/e/key", json={"name": "a"}, timeout=10).ok
        os.kill(server.pid, signal.SIGINT)  # whoever does not want to wait
        wait_until(lambda: not server.running, 20, "the server to end")
        assert server.returncode == 0


@pytest.mark.parametrize("command", ["api", "start"])
def test_grace_time_limits_the_stop(
    command: str, postgres: Postgres, valkey: Valkey, endpoint: Endpoint, tmp_path: Path
) -> None:
    """`start` has a few seconds more for requests after its workers have used the grace time."""
    env = {"INNGEST_GRACE_SECONDS": "1", "INNGEST_DEV": "1"}
    url = postgres.create_database()
    broker = {"REDIS_URL": valkey.url} if command == "api" else {}
    server = Server(command, log=tmp_path / "log", env={**env, "DATABASE_URL": url, **broker})
    worker = Tool("worker", log=tmp_path / "worker", env={**env, "DATABASE_URL": url, **broker})
    with server, worker, ThreadPoolExecutor(REQUESTS) as pool:
        server.start()
        endpoint.register(server.url)
        if broker:
            worker.start()
        asked = ask(pool, server, endpoint)
        os.kill(server.pid, signal.SIGTERM)
        began = time.monotonic()
        wait_until(lambda: not server.running, 40, "the server to end")
        assert time.monotonic() - began < 25
        assert server.returncode == 0
        assert f"server.cut_requests requests={REQUESTS}" in server.log_tail()
        assert all(one.exception() for one in asked)


@pytest.mark.parametrize(
    ("kind", "group"),
    [
        ("embedded", True),
        ("supervised", True),
        ("supervised", False),  # the others have no processes beside their own
        ("api", True),
        ("worker", True),
    ],
)
def test_a_second_interrupt_ends_it_at_once(
    kind: str, group: bool, postgres: Postgres, valkey: Valkey, endpoint: Endpoint, tmp_path: Path
) -> None:
    url = postgres.create_database()
    env = {"INNGEST_GRACE_SECONDS": "300", "INNGEST_DEV": "1", "DATABASE_URL": url}
    if kind != "embedded":
        env["REDIS_URL"] = valkey.url
    command = ["start", "--workers", "1"] if kind == "supervised" else ["start"]
    made = Server(*(["api"] if kind in ("api", "worker") else command), log=tmp_path / "a", env=env)
    worker = Tool("worker", log=tmp_path / "w", env=env)
    with made, worker, ThreadPoolExecutor(REQUESTS) as pool:
        made.start()
        endpoint.register(made.url)
        if kind in ("api", "worker"):
            worker.start()
        asked = ask(pool, made, endpoint)
        told: Process = worker if kind == "worker" else made
        interrupt = partial(os.killpg if group else os.kill, told.pid, signal.SIGINT)
        interrupt()
        # in a group each process says so; a second signal must not come before the first was taken
        said = "Ctrl+C again" if kind == "worker" else "server.interrupted"
        wait_until(lambda: said in told.log_tail(), 20, "what a second one does to be told")
        assert told.running
        began = time.monotonic()
        interrupt()
        wait_until(lambda: not told.running, 60, "the process to end")
        assert time.monotonic() - began < 30
        wait_until(lambda: not lives(told.pid), 30, "its workers to end")
        leased = 0 if kind != "api" else REQUESTS  # whose worker goes on
        assert rows(url, "queue_items WHERE state = 'leased'") == leased
        assert rows(url, "runs WHERE status = 'running'") == REQUESTS
        endpoint.go.set()
        made.kill9()
        assert all(one.exception() for one in asked)


def rows(url: str, which: str) -> int:
    """Count rows."""
    db = Database(url)
    with db.reading() as tx:
        found = tx.execute(text(f"SELECT count(*) FROM {which}")).scalar_one()
    db.close()
    return int(found)


def test_sighup_ends_nothing(tmp_path: Path) -> None:
    file = f"sqlite:///{tmp_path / 'x.db'}"
    with Server("start", "--dev", "--database-url", file, log=tmp_path / "log") as server:
        server.start()
        os.killpg(server.pid, signal.SIGHUP)
        wait_until(lambda: "server.not_reloaded" in server.log_tail(), 10)
        assert server.healthy


def test_supervised_worker_stops_when_its_server_is_gone(
    postgres: Postgres, valkey: Valkey, endpoint: Endpoint, tmp_path: Path
) -> None:
    env = {"DATABASE_URL": postgres.create_database(), "REDIS_URL": valkey.url, "INNGEST_DEV": "1"}
    with Server("start", "--workers", "1", log=tmp_path / "log", env=env) as server:
        server.start()
        endpoint.register(server.url)
        send(server.url)
        wait_until(lambda: [n for _, n in endpoint.calls].count(STEPS) == 1, 30, "the last call")
        group = server.pid
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not server.running, 10)
        wait_until(lambda: "worker.orphaned" in server.log_tail(), 20, "the worker to notice")
        endpoint.go.set()  # its call may end
        wait_until(lambda: not lives(group), 30, "the worker to end")
        with Server("api", log=tmp_path / "api", env=env) as api:
            api.start()
            assert statuses(api.url) == {"completed": 1}
    assert [n for _, n in endpoint.calls].count(STEPS) == 1


def lives(group: int) -> bool:
    """Whether any process of a group is alive."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
