"""Realtime with several processes: where somebody publishes or subscribes makes no difference."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inngest
import orjson
import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from inngest_py.sdk import realtime
from tests.api.test_realtime import publish, received, subscribe
from tests.endpoint import STEPS, Endpoint, send
from tests.processes import START_SECONDS, Process, Server, wait_until
from tests.servers import Postgres, Valkey


@dataclass
class Pair:
    """Two API processes of one installation."""

    servers: list[Server]
    broker: Valkey
    env: dict[str, str]
    folder: Path

    def worker(self, pool: str) -> Process:
        argv = [sys.executable, "-m", "celery", "-A", "inngest_py", "worker"]
        argv += ["-P", pool, "-c", "2", "-n", f"{pool}@test"]
        return Process(argv, log=self.folder / f"{pool}.log", env=self.env)

    def workers(self) -> int:
        shown = requests.get(f"{self.servers[0].url}/health", timeout=10).json()
        return int(shown.get("workers", -1))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Pair]:
    folder: Path = tmp_path_factory.mktemp("realtime")
    url, broker = postgres.create_database(), Valkey().start()
    env = {"INNGEST_DEV": "1", "DATABASE_URL": url, "REDIS_URL": broker.url}
    servers = [Server("api", log=folder / f"{number}.log", env=env) for number in range(2)]
    try:
        for server in servers:
            server.start()
        yield Pair(servers, broker, env, folder)
    finally:
        for server in servers:
            server.kill9()
        broker.close()


def test_the_module_for_python_at_two_processes(pair: Pair) -> None:
    """One process makes the token of one subscriber, and takes the message of the other."""
    first, second = (
        inngest.Inngest(app_id="tests", is_production=False, api_base_url=server.url)
        for server in pair.servers
    )

    async def in_async_code() -> realtime.Message:
        async with realtime.subscribe(first, "user:1", ["ai"]) as messages:
            await realtime.publish_async(second, "user:1", "ai", [2])
            return await anext(messages)

    with realtime.subscribe(second, "user:1", ["ai"]) as messages:
        realtime.publish(first, "user:1", "ai", [1])
        assert next(messages).data == [1]
        assert asyncio.run(in_async_code()).data == [2]
        assert next(messages).data == [2]


def test_messages_reach_all_processes_in_order(pair: Pair) -> None:
    subscribers = [subscribe(server, "ai") for server in pair.servers]
    for number in range(100):
        assert publish(pair.servers[number % 2], str(number)).status_code == 200
    for made in subscribers:
        assert [received(made)["data"] for _ in range(100)] == list(range(100))
        made.close()


def follow_to_the_end(made: ClientConnection) -> list[Any]:
    found = []
    while not found or found[-1]["kind"] != "run":
        found.append(received(made))
    return found


@pytest.mark.parametrize("pool", ["gevent", "prefork"])
def test_a_run_of_a_worker_is_followed(pair: Pair, pool: str) -> None:
    first, second = pair.servers
    with Endpoint() as endpoint, pair.worker(pool) as worker:
        endpoint.register(first.url)
        endpoint.hold = 2
        worker.start().wait_ready(lambda: pair.workers() == 1, START_SECONDS)
        send(first.url)
        wait_until(lambda: len(endpoint.calls) == 3, 20, "the run has two steps")
        run_id = endpoint.calls[0][0]
        subscribers = [
            subscribe(server, "$run", name, channel=run_id)
            for server, name in ((first, "$step"), (second, "s3"))
        ]
        endpoint.go.set()
        *steps, run = follow_to_the_end(subscribers[0])
        assert [(one["kind"], one["topic"], one["data"]) for one in steps] == [
            ("step", f"s{n}", {"step": f"s{n}", "status": "completed", "result": n})
            for n in range(2, STEPS)
        ]
        assert (run["topic"], run["run_id"], run["channel"]) == ("$run", run_id, run_id)
        assert run["data"] == {"status": "completed", "result": {"ok": True}}
        assert [one["topic"] for one in follow_to_the_end(subscribers[1])] == ["s3", "$run"]
        for made in subscribers:
            made.close()
        assert worker.terminate() == 0
    wait_until(lambda: pair.workers() == 0, 10, "the worker is gone")


def numbers(made: ClientConnection, last: int) -> list[int]:
    """Read messages up to the last one."""
    found: list[int] = []
    while not found or found[-1] != last:
        found.append(received(made)["data"])
    return found


def test_a_broker_that_goes_and_comes_back(pair: Pair) -> None:
    """While it is away, messages reach the subscribers of their own process."""
    subscribers = [subscribe(server, "ai") for server in pair.servers]
    pair.broker.stop()
    for number in range(10):
        assert publish(pair.servers[0], str(number)).elapsed.total_seconds() < 5
    assert numbers(subscribers[0], 9) == list(range(10))
    pair.broker.start()
    last = 10

    def arrives() -> bool:
        nonlocal last
        last += 1
        publish(pair.servers[0], str(last))
        with suppress(TimeoutError):
            return bool(orjson.loads(subscribers[1].recv(0.5))["data"] > 9)
        return False

    wait_until(arrives, 30, "messages reach the other process again")
    publish(pair.servers[0], str(last + 1))
    for made in subscribers:
        found = numbers(made, last + 1)
        assert found == sorted(set(found))  # none came twice
        made.close()


def test_a_server_that_stops_says_closing(pair: Pair) -> None:
    made = subscribe(pair.servers[1], "ai")
    assert pair.servers[1].terminate() == 0
    assert received(made)["kind"] == "closing"
    with pytest.raises(ConnectionClosed) as found:
        made.recv(5)
    assert found.value.rcvd is not None
    assert (found.value.rcvd.code, found.value.rcvd.reason) == (1001, "closing")


def test_without_a_broker_the_database_carries_messages(tmp_path: Path, postgres_url: str) -> None:
    env = {"DATABASE_URL": postgres_url}
    args = ("dev", "--no-discovery")
    with (
        Server(*args, log=tmp_path / "0.log", env=env) as first,
        Server(*args, log=tmp_path / "1.log", env=env) as second,
        Endpoint() as endpoint,
    ):
        servers = [first.start(), second.start()]
        subscribers = [subscribe(server, "ai") for server in servers]
        for number in range(50):
            assert publish(servers[number % 2], str(number)).status_code == 200
        for made in subscribers:
            assert numbers(made, 49) == list(range(50))
            made.close()
        endpoint.register(first.url)
        endpoint.hold = 2
        send(first.url)
        wait_until(lambda: len(endpoint.calls) == 3, 20, "the run has two steps")
        followed = [subscribe(server, "$run", channel=endpoint.calls[0][0]) for server in servers]
        endpoint.go.set()
        for made in followed:
            assert follow_to_the_end(made)[-1]["data"]["status"] == "completed"
            made.close()
        assert "Traceback" not in first.log.read_text() + second.log.read_text()
