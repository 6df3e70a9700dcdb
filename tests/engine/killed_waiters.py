"""Run by test_killed_waiters.py in a process with gevent: tasks that end on their way to a slot."""

from gevent import monkey

monkey.patch_all()

import random  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from celery.concurrency.gevent import TaskPool  # noqa: E402

from inngest_py.config_reading import load  # noqa: E402
from inngest_py.domain.runs.items import ItemKind  # noqa: E402
from inngest_py.engine.runtime.context import NoHints  # noqa: E402
from inngest_py.tasks.items import Runner  # noqa: E402
from inngest_py.tasks.runtime import Runtime  # noqa: E402

SLOTS, ROUNDS, MESSAGES, ITEMS = 3, 30, 10, 5
MOMENTS = (0, 0, 0.0005, 0.001, 0.003)


class Worker:
    """A pool and a runner as in a worker."""

    def __init__(self, url: str) -> None:
        runtime = Runtime(
            load({"database_url": url, "concurrency": SLOTS, "dev": True}, {}), NoHints()
        )
        self.runner, self.pool = Runner(runtime), TaskPool(limit=100)
        self.pool.start()
        runtime.intake.wait_before_reads(self.pool, for_slots=True)
        self.ran = self.begun = 0
        self.failed: list[str] = []
        self.tasks: list[Any] = []

    def task(self) -> None:
        """Run items that do not exist: their claim takes slots and gives them back."""
        self.begun += 1
        items = [f"none-{random.random()}" for _ in range(ITEMS)]
        try:
            self.runner.run(ItemKind.EDGE, items)
            self.ran += 1
        except Exception as error:
            self.failed.append(repr(error))

    def read(self, limits: list[float | None]) -> None:
        """Take a message for each of the time limits."""
        for limit in limits:
            about = {"timeout": limit, "timeout_callback": lambda *_: None}
            self.tasks.append(self.pool.on_apply(self.task, (), callback=lambda *_: None, **about))


def kill_waiter_that_gets_a_slot(worker: Worker, slots: threading.Semaphore) -> None:
    """Kill a task at the moment that it gets a slot: the next waiting task must get the slot."""
    for _ in range(SLOTS):
        slots.acquire()
    first, second = gevent.spawn(worker.task), gevent.spawn(worker.task)
    gevent.idle()  # both wait
    first.kill(block=False)
    slots.release()
    second.join(timeout=20)
    assert second.ready(), "no task got the slot"
    for _ in range(SLOTS - 1):
        slots.release()


def main(url: str) -> None:
    """End tasks at random moments: later messages are still taken, and find all slots."""
    worker, chance = Worker(url), random.Random(7)
    worker.read([None])
    gevent.joinall(worker.tasks)  # the context is there
    for number in range(ROUNDS):
        limits = [chance.choice((None, None, *MOMENTS[2:])) for _ in range(MESSAGES)]
        reader = gevent.spawn(worker.read, limits)
        for _ in range(MESSAGES):
            gevent.sleep(chance.choice(MOMENTS))
            if live := [task for task in worker.tasks if not task.ready()]:
                worker.pool.terminate_job(id(chance.choice(live)))  # as a revoked task's
        reader.join(timeout=20)
        assert reader.ready(), f"round {number}: no message is taken any more"
        reader.get()
        gevent.joinall(worker.tasks, timeout=20)
        assert all(task.ready() for task in worker.tasks), f"round {number}: no slot is free"
        assert worker.failed == [], worker.failed
    slots = worker.runner._semaphore()
    kill_waiter_that_gets_a_slot(worker, slots)
    free = sum(slots.acquire(blocking=False) for _ in range(SLOTS + 1))
    assert free == SLOTS, f"{free} of {SLOTS} slots are free"
    print(f"begun {worker.begun}, ran to their end {worker.ran}")
    assert 0 < worker.ran < worker.begun, "some must be killed, and some not"


if __name__ == "__main__":
    main(sys.argv[1])
