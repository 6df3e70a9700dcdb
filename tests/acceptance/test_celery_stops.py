"""Workers of ours that stop, or whose child processes end, send no task of a Celery app again."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg2
import pytest

from tests.acceptance import shop as tasks
from tests.acceptance.celery_shop import Client, Shop, shop_on
from tests.acceptance.full_size import FULL, WITH_KILLS
from tests.processes import Process, Server, wait_until
from tests.servers import Valkey

LEASE = 3
NAP = 2.0 * LEASE  # a lease that lapses in it sends the task again
TASKS = 4


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with shop_on(Valkey(), tmp_path) as made:
        yield made


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


@WITH_KILLS
def test_child_process_that_ends_sends_nothing_again(shop: Shop, start: Start) -> None:
    """Slow: a task that was sent again would count as lost after half a minute."""
    client, _ = start("-P", "prefork", "-c", "2", "--max-tasks-per-child", "1", count=1)
    ran_once(client, shop, nap(client, shop))


@pytest.mark.parametrize(
    "stop", [Process.terminate, Process.kill9] if FULL else [Process.terminate]
)
def test_failing_tasks_run_once_though_our_worker_restarts(
    shop: Shop, start: Start, postgres_url: str, stop: Callable[[Process], object]
) -> None:
    """Answers of failures wait for their reasons, which come as events that nobody may read.

    Slow: what a killed worker has taken goes to another after half a minute.
    """
    client, [worker] = start("-P", "gevent", "-c", "10", count=1)
    keys = [f"f{number}" for number in range(10)]
    runs = [client.start(tasks.note_and_fail.s(key)) for key in keys]
    wait_until(lambda: len(shop.effects) >= len(keys), 60, "the tasks to run")
    if stop is Process.kill9:  # what it sent in the last half second may be sent again
        wait_until(lambda: _are_written(postgres_url), 30, "the sendings to be written")
    stop(worker)
    worker.start()
    for run_id in runs:
        run = client.ended(run_id, 120)
        assert run["status"] == "failed"
        assert run["output"]["error"]["name"] in ("ValueError", "TaskFailed")
    assert sorted(shop.effects) == sorted(keys)


def _are_written(url: str) -> bool:
    """Say whether each task that was sent has ended, or is written as its app's."""
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM queue_items WHERE worker NOT LIKE 'celery:%' LIMIT 1")
            return cursor.fetchone() is None
    finally:
        connection.close()
