"""Workers of ours that stop, or whose child processes end, send no task of a Celery app again."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance import shop as tasks
from tests.acceptance.celery_shop import Client, Shop
from tests.processes import Process, Server, wait_until
from tests.servers import Valkey

LEASE = 3
NAP = 2.0 * LEASE  # a lease that lapses in it sends the task again
TASKS = 4


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    broker = Valkey()
    try:
        yield Shop(broker.start(), tmp_path)
    finally:
        broker.close()


Start = Callable[..., tuple[Client, list[Process]]]


@pytest.fixture
def start(shop: Shop, postgres_url: str, valkey: Valkey) -> Iterator[Start]:
    """Start an API, a worker of the app, and workers of ours, each with options."""
    env = {
        "DATABASE_URL": postgres_url,
        "REDIS_URL": valkey.url,
        "INNGEST_DEV": "1",
        "INNGEST_LEASE_SECONDS": str(LEASE),
    }
    with ExitStack() as stack:

        def started(*options: str, count: int) -> tuple[Client, list[Process]]:
            api = stack.enter_context(Server("api", log=shop.folder / "api.log", env=env).start())
            argv = [sys.executable, "-m", "celery", "-A", "inngest_py", "worker", *options]
            ours = [
                Process([*argv, "-n", f"{n}@test"], shop.folder / f"our-{n}.log", env)
                for n in range(count)
            ]
            for worker in ours:
                stack.enter_context(worker.start())
            stack.enter_context(shop.worker(concurrency=TASKS))
            client = Client(api.url)
            client.connect(shop)
            return client, ours

        yield started


def nap(client: Client, shop: Shop) -> list[str]:
    """Start tasks, and wait until they run; return their runs."""
    runs = [client.start(tasks.nap.s(NAP, f"n{number}")) for number in range(TASKS)]
    wait_until(lambda: len(begun(shop)) >= TASKS, 60, "the tasks to run")
    return runs


def begun(shop: Shop) -> list[str]:
    return sorted(one for one in shop.effects if one.startswith("begin n"))


def ran_once(client: Client, shop: Shop, runs: list[str]) -> None:
    assert [client.ended(run_id)["status"] for run_id in runs] == ["completed"] * TASKS
    assert begun(shop) == [f"begin n{number}" for number in range(TASKS)]


@pytest.mark.parametrize("pool", ["gevent", "prefork", "threads"])
def test_worker_that_stops_sends_nothing_again(shop: Shop, start: Start, pool: str) -> None:
    """Slow: a task that was sent again would count as lost after half a minute."""
    client, [worker] = start("-P", pool, "-c", "2", count=1)
    runs = nap(client, shop)
    worker.terminate()
    worker.start()
    ran_once(client, shop, runs)


def test_child_process_that_ends_sends_nothing_again(shop: Shop, start: Start) -> None:
    """Slow: a task that was sent again would count as lost after half a minute."""
    client, _ = start("-P", "prefork", "-c", "2", "--max-tasks-per-child", "1", count=1)
    ran_once(client, shop, nap(client, shop))
