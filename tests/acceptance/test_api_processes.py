"""Several API processes on one port: one server to its callers."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from tests.api.test_realtime import publish, received, subscribe
from tests.endpoint import STEPS, Endpoint, send, statuses
from tests.metrics import value
from tests.processes import Server, wait_until
from tests.sdk.client import Api
from tests.sdk.connect_worker import KIND, ConnectWorker
from tests.servers import Postgres, Valkey

PROCESSES = 2


@dataclass
class Running:
    """A server of two API processes with a worker beside them."""

    server: Server

    def processes(self) -> list[psutil.Process]:
        """List the API processes that live."""
        children = psutil.Process(self.server.pid).children()
        return [one for one in children if one.cmdline()[-2:] == ["inngest_py", "api"]]

    def metric(self, name: str) -> float | None:
        """Read a value at whichever process answers: each request has a connection of its own."""
        return value(requests.get(f"{self.server.url}/metrics", timeout=10).text, name)

    def both_serve(self) -> bool:
        return self.metric("inngest_api_processes") == PROCESSES


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, session_valkey: Valkey
) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("processes")
    broker = session_valkey.url_of(7)
    env = {"INNGEST_DEV": "1", "DATABASE_URL": postgres.create_database(), "REDIS_URL": broker}
    args = ("start", "--workers", "1", "--api-processes", str(PROCESSES), "--drain-delay", "300")
    with Server(*args, log=folder / "log", env=env) as server:
        made = Running(server.start())
        wait_until(made.both_serve, 30, "both processes serve")
        yield made


def post_events(running: Running, number: int) -> list[int]:
    """Send events, each over a connection of its own."""
    url = f"{running.server.url}/e/key"
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(requests.post, url, json={"name": "a/b"}) for _ in range(number)]
        return [one.result().status_code for one in sent]


def test_runs_of_an_app(running: Running) -> None:
    with Endpoint() as endpoint:
        endpoint.register(running.server.url)
        send(running.server.url)
        wait_until(lambda: statuses(running.server.url) == {"completed": 1}, 30, "the run")
        assert len(endpoint.calls) == STEPS + 1


def test_a_connected_worker(running: Running, tmp_path: Path) -> None:
    """One process tells it where to connect, and another one may have its connection."""
    with ConnectWorker(running.server.url, tmp_path).start():
        api = Api(running.server.url)
        run = api.run(api.send(f"{KIND}/sleep"), timeout=40)
        assert (run["status"], run["output"]) == ("Completed", "rested")


def test_each_process_shows_the_numbers_of_all(running: Running) -> None:
    before = running.metric("inngest_events_accepted_total") or 0
    assert post_events(running, 40) == [200] * 40
    seen = {running.metric("inngest_events_accepted_total") for _ in range(12)}
    assert seen == {before + 40}
    spent = [sum(one.cpu_times()[:2]) for one in running.processes()]
    told = running.metric("process_cpu_seconds_total") or 0
    assert told > 1.5 * min(spent)


def test_messages_reach_subscribers_of_all_processes(running: Running) -> None:
    subscribers = [subscribe(running.server, "ai") for _ in range(8)]
    for number in range(10):
        assert publish(running.server, str(number)).status_code == 200
    for made in subscribers:
        assert [received(made)["data"] for _ in range(10)] == list(range(10))
    wait_until(lambda: running.metric("inngest_realtime_subscribers") == 8, 10)
    for made in subscribers:
        made.close()


def test_a_process_that_dies_is_started_again(running: Running) -> None:
    accepted = running.metric("inngest_events_accepted_total") or 0
    [first, second] = running.processes()
    first.kill()
    assert post_events(running, 20) == [200] * 20  # by the other one
    assert running.metric("inngest_events_accepted_total") == accepted + 20
    wait_until(lambda: len(running.processes()) == PROCESSES, 20, "another process")
    wait_until(running.both_serve, 30, "it serves")
    assert second in running.processes()
    assert (running.metric("inngest_events_accepted_total") or 0) >= accepted + 20
    assert "server.process_died" in running.server.log.read_text()


def test_all_of_them_stop(running: Running) -> None:
    """The last test of this server."""
    server = running.server
    ready = f"{server.url}/health/ready"
    assert {requests.get(ready, timeout=10).status_code for _ in range(8)} == {200}
    os.kill(server.pid, signal.SIGTERM)

    def all_unready() -> bool:
        return {requests.get(ready, timeout=10).status_code for _ in range(12)} == {503}

    wait_until(all_unready, 20, "no process is ready")
    assert post_events(running, 10) == [200] * 10  # they serve on for the delay
    left = running.processes()
    os.kill(server.pid, signal.SIGINT)  # whoever does not want to wait
    wait_until(lambda: not server.running, 40, "the server to end")
    assert server.returncode == 0
    assert not any(one.is_running() for one in left)
    assert "Traceback" not in server.log.read_text()


def test_processes_stop_when_their_parent_is_gone(
    tmp_path: Path, postgres_url: str, valkey: Valkey
) -> None:
    env = {"INNGEST_DEV": "1", "DATABASE_URL": postgres_url, "REDIS_URL": valkey.url}
    with Server("api", "--processes", "2", log=tmp_path / "log", env=env) as server:
        running = Running(server.start())
        wait_until(running.both_serve, 30, "both processes serve")
        left = running.processes()
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not any(one.is_running() for one in left), 20, "they notice")
        assert server.log.read_text().count("server.process_orphaned") == PROCESSES
