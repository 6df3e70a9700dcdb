"""Thousands of tasks queue behind one worker of a Celery app, and cost us next to nothing."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
import redis
from celery import group

from tests.acceptance import shop as tasks
from tests.acceptance.celery_shop import Client, Shop
from tests.acceptance.full_size import FULL, WITH_KILLS
from tests.processes import Process, Server, wait_until
from tests.servers import Postgres, Valkey

TASKS = 10_000 if FULL else 1_000
TOGETHER = 250
# some looks for lost tasks are in it; they come every five seconds
_WINDOW_SECONDS = 12.0
_SECONDS = 600.0
_MOST_GROWTH_MB = 8.0


@dataclass
class Backlog:
    """An installation with one worker of ours and one of the app, and what it costs."""

    shop: Shop
    client: Client
    worker: Process
    database_url: str

    def waiting(self) -> int:
        """Count the messages in the app's queue."""
        broker = self.shop.broker
        with redis.Redis(port=broker.port) as client:
            return int(client.llen("shop"))

    def sent(self) -> int:
        """Count the tasks that the app has, as is written."""
        return int(self._ask("SELECT count(*) FROM queue_items WHERE worker LIKE 'celery:%'"))

    def _ask(self, query: str) -> object:
        connection = psycopg2.connect(self.database_url)
        try:
            with connection.cursor() as cursor:
                cursor.execute(query)
                [found] = cursor.fetchone() or [None]
        finally:
            connection.close()
        return found

    def memory_mb(self) -> float:
        """Read the memory of our worker that is resident."""
        status = Path(f"/proc/{self.worker.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1024

    def transactions_a_second(self) -> float:
        """Count transactions of all processes over some time in which nothing is sent."""
        query = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        before, began = int(str(self._ask(query))), time.monotonic()
        over = began + _WINDOW_SECONDS
        wait_until(lambda: time.monotonic() > over, 2 * _WINDOW_SECONDS, "the time to be over")
        after = int(str(self._ask(query)))
        return (after - before) / (time.monotonic() - began)


@pytest.fixture
def backlog(postgres: Postgres, valkey: Valkey, tmp_path: Path) -> Iterator[Backlog]:
    url = postgres.create_database()
    env = {"DATABASE_URL": url, "REDIS_URL": valkey.url, "INNGEST_DEV": "1"}
    argv = [sys.executable, "-m", "celery", "-A", "inngest_py", "worker", "-P", "gevent"]
    worker = Process([*argv, "-c", "50", "-n", "our@test"], tmp_path / "our.log", env)
    broker = Valkey()
    with ExitStack() as stack:
        stack.callback(broker.close)
        shop = Shop(broker.start(), tmp_path)
        api = stack.enter_context(Server("api", log=tmp_path / "api.log", env=env).start())
        stack.enter_context(worker.start())
        stack.enter_context(shop.worker(concurrency=1))
        client = Client(api.url)
        client.connect(shop)
        yield Backlog(shop, client, worker, url)


@WITH_KILLS
def test_thousands_of_queued_tasks_cost_nothing(backlog: Backlog, tmp_path: Path) -> None:
    """Slow: some looks for lost tasks have to pass, with the tasks queued and without."""
    free = tmp_path / "free"
    first = backlog.client.start(tasks.wait_for.s(str(free)))
    wait_until(lambda: backlog.sent() == 1, 60, "the worker to be busy")
    idle = backlog.transactions_a_second()
    runs = []
    sizes = []
    for number in range(0, TASKS, TOGETHER):
        keys = [f"t{number + n}" for n in range(TOGETHER)]
        runs.append(backlog.client.start(group([tasks.note.s(key, key) for key in keys])))
        done = number + TOGETHER
        wait_until(lambda done=done: backlog.sent() > done, _SECONDS, f"{done} tasks to be sent")
        sizes.append(backlog.memory_mb())
    # the worker holds a few; kombu lets it take some more meanwhile
    wait_until(lambda: backlog.waiting() >= TASKS - 20, 60, "the tasks to be queued")
    queued = backlog.transactions_a_second()
    grown = backlog.memory_mb() - sizes[len(sizes) // 2]
    print(f"memory in MB {sizes}, transactions a second {idle:.1f}, {queued:.1f}")
    assert queued < idle + 2
    assert grown < _MOST_GROWTH_MB
    free.touch()
    for run_id in [first, *runs]:
        assert backlog.client.ended(run_id, _SECONDS)["status"] == "completed"
    assert Counter(backlog.shop.effects) == {f"t{number}": 1 for number in range(TASKS)}
