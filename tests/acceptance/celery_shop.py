"""A Celery app's broker and worker as processes, and what tests ask of a server about its runs."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.processes import ROOT, Process, Server, wait_until
from tests.rabbit import SERVER, Rabbit
from tests.servers import Valkey

_SECONDS = 60.0
# parameters of a fixture: the brokers that a Celery app may have
BROKERS = (
    Valkey,
    pytest.param(
        Rabbit,
        marks=pytest.mark.skipif(not SERVER.exists(), reason="RabbitMQ is not installed"),
    ),
)
ENDED = ("completed", "failed", "cancelled", "skipped")


@dataclass
class Shop:
    """A Celery app, whose broker only this test uses."""

    broker: Valkey | Rabbit
    folder: Path

    @property
    def effects(self) -> list[str]:
        """What tasks have noted, in order."""
        path = self.folder / "effects"
        return path.read_text().splitlines() if path.exists() else []

    @contextmanager
    def worker(self, name: str = "one", concurrency: int = 2) -> Iterator[Process]:
        """Run a worker, killed at the end."""
        argv = [sys.executable, "-m", "celery", "-A", "tests.acceptance.shop", "worker"]
        argv += ["-c", str(concurrency), "-n", f"{name}@shop", "-Q", "shop", "-l", "INFO"]
        env = {
            "SHOP_BROKER": self.broker.url,
            "SHOP_EFFECTS": str(self.folder / "effects"),
            "PYTHONPATH": str(ROOT),
        }
        with Process(argv, log=self.folder / f"{name}.log", env=env) as process:
            yield process.start()


@contextmanager
def shop_on(broker: Valkey | Rabbit, folder: Path) -> Iterator[Shop]:
    """Start a broker of its own for an app; it ends with the app."""
    try:
        yield Shop(broker.start(), folder)
    finally:
        broker.close()


@dataclass
class Client:
    """A server's REST API, as far as Celery apps go."""

    url: str

    def connect(self, shop: Shop, name: str = "shop") -> None:
        """Connect the app, and wait until its tasks are known."""
        body = {"broker_url": shop.broker.url, "queue": "shop"}
        self.put(f"/v1/celery/{name}", body)
        wait_until(lambda: self.apps()[0]["tasks"], _SECONDS, "the app's tasks to be found")

    def put(self, path: str, body: dict[str, Any]) -> Any:
        answer = requests.put(self.url + path, json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def apps(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/v1/celery")
        return found

    def get(self, path: str) -> Any:
        return requests.get(self.url + path, timeout=30).json()["data"]

    def start(self, signature: Any, **more: Any) -> str:
        """Start a canvas; return the run's id."""
        body = {"signature": json.loads(json.dumps(signature)), **more}
        answer = requests.post(f"{self.url}/v1/celery/shop/runs", json=body, timeout=30)
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["data"]["run_id"])

    def send(self, name: str, **data: Any) -> None:
        event = {"name": name, "data": data}
        requests.post(f"{self.url}/api/v1/events", json=event, timeout=30).raise_for_status()

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/api/v1/runs/{run_id}")
        return found

    def ended(self, run_id: str, seconds: float = _SECONDS) -> dict[str, Any]:
        """Wait for a run's end."""

        def look() -> dict[str, Any] | None:
            found = self.run(run_id)
            return found if found["status"] in ENDED else None

        found = wait_until(look, seconds, f"run {run_id} to end")
        assert found is not None
        return found

    def output(self, run_id: str) -> Any:
        """Wait for a run's end, which must be a success; return its output."""
        found = self.ended(run_id)
        assert found["status"] == "completed", found
        return found["output"]

    def told(self, run_id: str, executions: int = 1) -> dict[str, Any]:
        """Wait for a run's end, and for what events tell of its one task; return its attempt."""

        def look() -> dict[str, Any] | None:
            [found] = [one for one in self.run(run_id)["attempts"] if one["op"] == "CeleryTask"]
            known = found["task"]["executions"]
            told = len(known) == executions and all(one["started_at"] for one in known)
            return found if told and all(one["error"] for one in known[:-1]) else None

        self.ended(run_id)
        found = wait_until(look, _SECONDS, "the executions to be stored")
        assert found is not None
        return found


@contextmanager
def connected(shop: Shop) -> Iterator[Client]:
    """Run a server on SQLite that is connected to the app; a worker of the app has to run."""
    env = {"INNGEST_DEV": "1", "DATABASE_URL": f"sqlite:///{shop.folder}/server.db"}
    with Server("dev", log=shop.folder / "server.log", env=env) as server:
        client = Client(server.start().url)
        client.connect(shop)
        yield client
