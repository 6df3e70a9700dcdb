"""Connected workers and several gateways: where a worker hangs makes no difference."""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.processes import LOOPBACK, START_SECONDS, Server, Tool, wait_until
from tests.sdk.client import Api
from tests.sdk.connect_worker import CONNECTED, ConnectWorker
from tests.servers import Valkey
from tests.tcp import Wire

# what differs between SDKs is what a worker does when its gateway stops
of_every_sdk = pytest.mark.parametrize("gateways", CONNECTED, indirect=True)
of_one_sdk = pytest.mark.parametrize("gateways", CONNECTED[:1], indirect=True)


class Gateways:
    """Two API processes, a worker process, and a balancer before the first API."""

    def __init__(self, folder: Path, kind: str, database: str, broker: str) -> None:
        env = {
            "INNGEST_DEV": "1",
            "INNGEST_RETRY_INTERVAL": "1",
            "DATABASE_URL": database,
            "REDIS_URL": broker,
        }
        self.first, self.second = (
            Server("api", log=folder / f"api-{number}.log", env=env) for number in (1, 2)
        )
        self.engine = Tool("worker", log=folder / "engine.log", env=env)
        self.balancer = Wire(self.first.port)
        self.balancer.__enter__()
        self.kind, self.gate = kind, folder / "gate"
        self.api = Api(self.second.url)
        url = f"http://{LOOPBACK}:{self.balancer.port}"
        self.worker = ConnectWorker(url, folder, kind=kind)

    def start(self) -> None:
        """Start all parts, and wait until they are ready."""
        self.engine.start()
        self.first.start()
        self.second.start()
        self.worker.start()
        wait_until(lambda: self.engines() == 1, START_SECONDS, "our own worker is ready")

    def engines(self) -> int:
        """How many of our own workers live."""
        reply = requests.get(f"{self.second.url}/health", timeout=5)
        return int(reply.json()["workers"])

    def begin(self) -> str:
        """Begin a run whose step waits for the gate; return its event when it has begun."""
        before = len(self.worker.effects())
        event = self.api.send(f"{self.kind}/held", {"gate": str(self.gate)})
        wait_until(lambda: len(self.worker.effects()) > before, 15, "the step has begun")
        return event

    def logs(self) -> str:
        """The ends of all logs."""
        parts = (self.first, self.second, self.engine, self.worker)
        return "\n----\n".join(part.log_tail(25) for part in parts)

    def close(self) -> None:
        """Kill everything."""
        for part in (self.worker, self.engine, self.first, self.second):
            part.kill9()
        self.balancer.__exit__(None, None, None)


@pytest.fixture
def gateways(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str, valkey: Valkey
) -> Iterator[Gateways]:
    made = Gateways(tmp_path, request.param, postgres_url, valkey.url_of(3))
    try:
        made.start()
        yield made
    finally:
        made.close()


@of_one_sdk
def test_a_worker_elsewhere_is_called_at_once(gateways: Gateways) -> None:
    """The event comes to one API process, the worker hangs on the other."""

    def seconds() -> float:
        sent_at = datetime.now(UTC)
        run = gateways.api.run(gateways.api.send(f"{gateways.kind}/sequential"))
        assert run["status"] == "Completed", gateways.logs()
        return (datetime.fromisoformat(run["ended_at"]) - sent_at).total_seconds()

    # the database was empty: nothing may use it before its tables are made
    for part in (gateways.first, gateways.second, gateways.engine):
        assert "upkeep." not in part.log.read_text()
    # without news of waiting items it would take the two to five seconds of a look
    assert min(seconds() for _ in range(4)) < 1
    _drain_from_afar(gateways)
    _without_our_worker(gateways)


def _without_our_worker(gateways: Gateways) -> None:
    """What is due after a retry or a sleep is begun by the gateway, not by a worker of ours."""
    api = Api(gateways.first.url)
    os.killpg(gateways.engine.pid, signal.SIGSTOP)
    try:
        events = [api.send(f"{gateways.kind}/{one}") for one in ("retry", "sleep")]
        runs = [api.run(one) for one in events]
        assert [run["status"] for run in runs] == ["Completed"] * 2, gateways.logs()
    finally:
        os.killpg(gateways.engine.pid, signal.SIGCONT)


def _drain_from_afar(gateways: Gateways) -> None:
    """Any gateway may be asked; the one that holds the connection does it."""
    url = f"{gateways.second.url}/api/v1/connections"

    def worker() -> dict[str, Any]:
        (found,) = requests.get(url, timeout=5).json()["data"]
        shown: dict[str, Any] = found
        return shown

    assert worker()["gateway"].endswith(f":{gateways.first.port}")
    assert requests.post(f"{url}/{worker()['id']}/drain", timeout=5).ok
    wait_until(lambda: worker()["status"] == "draining", 10, "the worker is drained")
    event = gateways.api.send(f"{gateways.kind}/noop")
    assert requests.post(f"{url}/{worker()['id']}/resume", timeout=5).ok
    assert gateways.api.run(event)["status"] == "Completed", gateways.logs()


@of_every_sdk
def test_a_gateway_that_stops_costs_nothing(gateways: Gateways) -> None:
    event = gateways.begin()
    short = [gateways.api.send(f"{gateways.kind}/sequential") for _ in range(20)]
    gateways.balancer.to_port = gateways.second.port
    assert gateways.first.terminate() == 0, gateways.logs()
    short += [gateways.api.send(f"{gateways.kind}/parallel") for _ in range(20)]
    runs = [gateways.api.run(one, timeout=60) for one in short]
    assert {run["status"] for run in runs} == {"Completed"}, gateways.logs()
    gateways.gate.touch()
    assert gateways.api.run(event, timeout=60)["output"] == {"held": "worker-1"}, gateways.logs()
    assert {line["attempt"] for line in gateways.worker.effects()} == {0}
    held = [line for line in gateways.worker.effects() if line["step"] == "held"]
    assert len(held) == 1, gateways.logs()


@of_one_sdk
def test_a_gateway_that_is_killed_loses_nothing(gateways: Gateways) -> None:
    event = gateways.begin()
    gateways.balancer.to_port = gateways.second.port
    gateways.first.kill9()
    short = [gateways.api.send(f"{gateways.kind}/sequential") for _ in range(10)]
    runs = [gateways.api.run(one, timeout=60) for one in short]
    assert {run["status"] for run in runs} == {"Completed"}, gateways.logs()
    gateways.gate.touch()
    run = gateways.api.run(event, timeout=90)
    assert run["output"] == {"held": "worker-1"}, gateways.logs()
    assert {line["attempt"] for line in gateways.worker.effects()} == {0}
