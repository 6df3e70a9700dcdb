"""While the broker is away, calls in flight finish and new events run, in every pool."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.full_size import WITH_KILLS
from tests.endpoint import STEPS, Endpoint, send, statuses
from tests.processes import Process, Server, wait_until
from tests.rabbit import SERVER, Rabbit
from tests.servers import Postgres, Valkey

CALLS = 8
# Celery's first pauses are 2, 4 and 6 s; a lease of so many lapses in a process that stands still
LEASE = 6
# the documented two seconds, a tick of upkeep, and a loaded machine
LOOKS = 10
# as documented in operating.md, from the first moment that the broker answers
BACK = 2.0
# Celery would stand still for over a lease after the one, and wait longest after the other
SHORT, LONG = 2.0 * LEASE, 30.0


@dataclass
class Installation:
    """An API, and how to start its workers; only this test uses the broker, so it may kill it."""

    api: Server
    endpoint: Endpoint
    broker: Valkey | Rabbit
    env: dict[str, str]
    folder: Path

    def worker(self, pool: str, concurrency: int = 2 * CALLS) -> Process:
        argv = [sys.executable, "-m", "celery", "-A", "inngest_py", "worker"]
        argv += ["-P", pool, "-c", str(concurrency), "-n", "one@test"]
        return Process(argv, log=self.folder / "worker.log", env=self.env)

    def health(self) -> dict[str, Any]:
        answer: dict[str, Any] = requests.get(f"{self.api.url}/health", timeout=10).json()
        return answer

    def works(self) -> bool:
        return int(self.health()["workers"]) == 1

    def heard(self, worker: Process, event: str) -> Callable[[], bool]:
        return lambda: event in worker.log.read_text()


@pytest.fixture
def installation(
    postgres: Postgres, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Installation]:
    broker: Valkey | Rabbit = request.param()
    broker.start()
    env = {
        "DATABASE_URL": postgres.create_database(),
        "REDIS_URL": broker.url,
        "INNGEST_DEV": "1",
        "INNGEST_LEASE_SECONDS": str(LEASE),
    }
    try:
        with Server("api", log=tmp_path / "api.log", env=env) as api, Endpoint() as endpoint:
            api.start()
            endpoint.register(api.url)
            yield Installation(api, endpoint, broker, env, tmp_path)
    finally:
        broker.close()


def completed(installation: Installation, count: int) -> Callable[[], bool]:
    return lambda: statuses(installation.api.url).get("completed") == count


RABBIT = pytest.mark.skipif(not SERVER.exists(), reason="RabbitMQ is not installed")


@pytest.mark.parametrize(
    ("pool", "installation", "away"),
    [
        ("gevent", Valkey, LONG),
        pytest.param("threads", Valkey, LONG, marks=WITH_KILLS),
        pytest.param("prefork", Valkey, LONG, marks=WITH_KILLS),
        pytest.param("solo", Valkey, SHORT, marks=WITH_KILLS),
        pytest.param("gevent", Rabbit, SHORT, marks=[RABBIT, WITH_KILLS]),
        pytest.param("prefork", Rabbit, SHORT, marks=RABBIT),
    ],
    indirect=["installation"],
)
def test_calls_finish_and_new_events_run_without_broker(
    installation: Installation, pool: str, away: float
) -> None:
    """Slow: an outage lasts until Celery would have stood still for over a lease, or longer."""
    url, endpoint = installation.api.url, installation.endpoint
    calls = 1 if pool == "solo" else CALLS
    with installation.worker(pool) as worker:
        worker.start().wait_ready(installation.works)
        endpoint.hold = STEPS  # the last call of each run
        send(url, calls)
        wait_until(lambda: [n for _, n in endpoint.calls].count(STEPS) == calls, 30)
        installation.broker.kill()
        wait_until(lambda: installation.health()["broker"] == "away", 5)

        endpoint.hold = None
        gone_at = time.monotonic()
        send(url, 1)
        if pool != "solo":  # its one call is held
            wait_until(completed(installation, 1), LOOKS, "a new event to run")
        wait_until(lambda: time.monotonic() > gone_at + SHORT, SHORT + LOOKS)
        endpoint.go.set()
        wait_until(completed(installation, calls + 1), LOOKS, "the calls in flight to end")
        send(url, CALLS)
        wait_until(completed(installation, calls + 1 + CALLS), 4 * LOOKS, "more events to run")
        wait_until(lambda: time.monotonic() > gone_at + away, away + LOOKS)

        installation.broker.start()
        wait_until(installation.broker.is_read, BACK, "the worker to read messages")
        wait_until(installation.heard(worker, "broker.back"), 5)
        wait_until(lambda: installation.health()["broker"] == "ok", 5)
        # a consumer that was busy with a call may notice only afterwards that the broker is back
        assert worker.log.read_text().count("broker.away") <= 2
        send(url, CALLS)
        total = calls + 1 + 2 * CALLS
        wait_until(completed(installation, total), LOOKS, "events to run by messages again")
        assert len(endpoint.calls) == total * (STEPS + 1)
        assert set(Counter(endpoint.calls).values()) == {1}, "a call was made again"
        assert worker.terminate() == 0


@pytest.mark.parametrize(
    "installation", [Valkey, pytest.param(Rabbit, marks=RABBIT)], indirect=True
)
def test_frozen_broker_counts_as_away(installation: Installation) -> None:
    """Takes half a minute: only time-outs show that a broker is frozen."""
    url, broker = installation.api.url, installation.broker
    with installation.worker("gevent") as worker:
        worker.start().wait_ready(installation.works)
        broker.freeze()
        wait_until(lambda: installation.health()["broker"] == "away", 10)
        send(url, CALLS)
        wait_until(completed(installation, CALLS), 4 * LOOKS, "new events to run")
        broker.thaw()
        wait_until(lambda: installation.health()["broker"] == "ok", 10)
        wait_until(installation.heard(worker, "broker.back"), 15)
        assert set(Counter(installation.endpoint.calls).values()) == {1}
