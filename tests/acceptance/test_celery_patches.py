"""Workers run everything with our changes to Celery and kombu, and without them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.endpoint import STEPS, Endpoint, send, statuses
from tests.processes import Process, Server, wait_until
from tests.rabbit import SERVER, Rabbit
from tests.servers import Postgres, Valkey

RUNS = 30
START = 60


@pytest.fixture(scope="module")
def rabbit() -> Iterator[Rabbit]:
    broker = Rabbit()
    try:
        yield broker.start()
    finally:
        broker.close()


def on(broker: str, pool: str, switch: str) -> object:
    absent = broker == "rabbit" and not SERVER.exists()
    skipped = pytest.mark.skipif(absent, reason="no RabbitMQ here")
    return pytest.param(broker, pool, switch, marks=skipped)


@pytest.mark.parametrize(
    ("broker", "pool", "switch"),
    [
        on("valkey", "gevent", "on"),
        on("valkey", "gevent", "off"),
        on("valkey", "prefork", "off"),
        on("rabbit", "gevent", "on"),
        on("rabbit", "gevent", "off"),
    ],
)
def test_worker_runs_events_to_their_end(
    broker: str,
    pool: str,
    switch: str,
    postgres: Postgres,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Slow: an API and a worker start, and perhaps RabbitMQ."""
    server: Valkey | Rabbit = request.getfixturevalue(broker)
    env = {
        "DATABASE_URL": postgres.create_database(),
        "INNGEST_BROKER_URL": server.url,
        "INNGEST_DEV": "1",
        "INNGEST_CELERY_PATCHES": switch,
    }
    argv = [sys.executable, "-m", "celery", "-A", "inngest_py", "worker", "-l", "info"]
    argv += ["-P", pool, "-c", "3", "-n", "one@test"]
    with (
        Server("api", log=tmp_path / "api.log", env=env) as api,
        Endpoint() as endpoint,
        Process(argv, log=tmp_path / "worker.log", env=env) as worker,
    ):
        api.start()
        endpoint.register(api.url)
        worker.start().wait_ready(lambda: "worker.ready" in worker.log.read_text())
        send(api.url, RUNS)
        wait_until(lambda: statuses(api.url) == {"completed": RUNS}, START, worker.log_tail())
        assert len(endpoint.calls) == RUNS * (STEPS + 1), "no step runs twice"
        assert worker.terminate() == 0
    # Celery's own consumer asks other workers for revoked tasks when it has connected
    assert ("mingle: " in worker.log.read_text()) is (switch == "off")
