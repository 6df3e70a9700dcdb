"""Limits of concurrency: never exceeded, in order, and no run waits for ever."""

import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from inngest_py.domain.reply.read import Reply
from inngest_py.engine.runtime.group_commit import Committer
from inngest_py.engine.upkeep import stuck_lines
from inngest_py.engine.work import end_run, run_item
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import queue_stats
from tests.engine.flow import ran, rows, send, statuses
from tests.engine.harness import Engine, Script, parallel, sequence
from tests.factories import op, reply, step

KEYED = {"concurrency": [{"limit": 1, "key": "event.data.k"}]}


class Watched:
    """A script that counts the calls in flight, by the event's key."""

    def __init__(self, script: Script, pause: float = 0.004) -> None:
        self.script, self.pause = script, pause
        self.now: Counter[Any] = Counter()
        self.most: Counter[Any] = Counter()
        self._lock = threading.Lock()

    def __call__(self, request: dict[str, Any], target: str) -> Reply:
        key = request["event"]["data"].get("k")
        with self._lock:
            for name in (key, "all"):
                self.now[name] += 1
                self.most[name] = max(self.most[name], self.now[name])
        time.sleep(self.pause)  # the work of the step: others must have a chance to begin
        answer = self.script(request, target)
        with self._lock:
            for name in (key, "all"):
                self.now[name] -= 1
        return answer


def race(engine: Engine, threads: int = 8) -> None:
    """Run hinted items from many threads at once, until none is left."""
    lock = threading.Lock()
    stop = time.monotonic() + 60
    busy = [0]

    def worker() -> None:
        while time.monotonic() < stop:
            with lock:
                hint = engine.hinted.hints.pop(0) if engine.hinted.hints else None
                busy[0] += hint is not None
            if hint is None:
                if busy[0] == 0:
                    return
                time.sleep(0.001)
                continue
            try:
                run_item.work(engine.ctx, [hint[1]])
            finally:
                with lock:
                    busy[0] -= 1

    crew = [threading.Thread(target=worker) for _ in range(threads)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join(70)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ({"concurrency": 3}, {"all": 3}),
        (KEYED, {0: 1, 1: 1, 2: 1}),
        (
            {"concurrency": [{"limit": 1, "key": "event.data.k"}, {"limit": 2}]},
            {0: 1, 1: 1, 2: 1, "all": 2},
        ),
        ({"concurrency": [{"limit": 2, "scope": "account", "key": "'x'"}]}, {"all": 2}),
    ],
)
def test_no_limit_is_exceeded_by_many_threads(
    db: Database, limits: dict[str, Any], most: dict[Any, int], shared: bool
) -> None:
    watched = Watched(sequence("a", "b"))
    engine = Engine(db, watched, **limits)
    engine.ctx.committer = Committer(db, shared=shared)
    send(engine, *({"k": n % 3} for n in range(24)))
    race(engine)
    assert statuses(engine) == ["completed"] * 24
    for key, limit in most.items():
        assert watched.most[key] <= limit, key
    assert max(watched.most[key] for key in most) > 0
    assert rows(db, "SELECT id FROM queue_items") == []


def test_parallel_steps_count_one_by_one(db: Database) -> None:
    watched = Watched(parallel("a", "b", "c", "d"))
    engine = Engine(db, watched, concurrency=2)
    send(engine, *({"k": n} for n in range(4)))
    race(engine)
    assert statuses(engine) == ["completed"] * 4
    assert watched.most["all"] <= 2


def test_a_limit_of_one_runs_in_the_order_of_arrival(db: Database) -> None:
    engine = Engine(db, sequence("a", "b"), concurrency=1)
    for n in range(5):
        send(engine, {"n": n})
        engine.now += timedelta(milliseconds=5)
    engine.drain()
    order = [request["event"]["data"]["n"] for request in engine.sdk.requests]
    assert order == sorted(order)
    assert statuses(engine) == ["completed"] * 5


def test_priority_goes_first(db: Database) -> None:
    engine = Engine(db, sequence(), concurrency=1, priority={"run": "event.data.p"})
    send(engine, *({"n": n, "p": 0 if n < 4 else 600} for n in range(5)))
    engine.drain()
    order = [request["event"]["data"]["n"] for request in engine.sdk.requests]
    # the first was let in before the others joined the line
    assert order[0] in (0, 4)
    assert order.index(4) <= 1


def test_waiting_items_are_not_due(db: Database) -> None:
    """No item in a line is due, however long the line is."""
    engine = Engine(db, sequence("a"), **KEYED)
    send(engine, *({"k": 1} for _ in range(200)))
    assert len(engine.hinted.hints) == 1
    with db.reading() as tx:
        found = queue_stats.backlog(tx, engine.now)
    assert found[0] == 1
    send(engine, {"k": 2})  # another key does not wait behind them
    assert len(engine.hinted.hints) == 2


def sleeping(request: dict[str, Any], target: str) -> Reply:
    if request["steps"]:
        return reply(200, {})
    return reply(206, [op("Sleep", "nap", name="10s")])


def test_sleeping_run_holds_no_slot(db: Database) -> None:
    engine = Engine(db, sleeping, concurrency=1)
    send(engine, {}, {})
    engine.drain()
    assert len(engine.sdk.requests) == 2
    engine.advance(seconds=10)
    assert statuses(engine) == ["completed"] * 2


def test_runs_are_limited_from_first_request_to_end(db: Database) -> None:
    engine = Engine(db, sleeping, concurrency={"fn": [{"limit": 1}]})
    send(engine, {}, {})
    engine.drain()
    assert sorted(statuses(engine)) == ["queued", "running"]
    engine.advance(seconds=10)
    assert sorted(statuses(engine)) == ["completed", "running"]
    engine.advance(seconds=10)
    assert statuses(engine) == ["completed"] * 2


def failing(request: dict[str, Any], target: str) -> Reply:
    if request["ctx"]["attempt"] == 0 and request["event"]["data"].get("fail"):
        return reply(500, {"name": "E", "message": "m"})
    return reply(200, {})


def test_failed_step_holds_no_slot_until_its_retry(db: Database) -> None:
    engine = Engine(db, failing, concurrency=1)
    send(engine, {"fail": True}, {})
    engine.drain()
    assert sorted(statuses(engine)) == ["completed", "running"]
    engine.advance(seconds=5)
    assert statuses(engine) == ["completed"] * 2


def test_cancelled_runs_leave_the_line(db: Database) -> None:
    engine = Engine(db, sequence("a"), concurrency=1)
    send(engine, *({"n": n} for n in range(4)))
    queued = [row[0] for row in rows(db, "SELECT id FROM runs ORDER BY id")]
    for run_id in queued[1:3]:
        end_run.cancel(engine.ctx, run_id)
    engine.drain()
    assert sorted(statuses(engine)) == ["cancelled", "cancelled", "completed", "completed"]


def test_line_is_let_in_when_its_limit_is_raised_or_removed(db: Database) -> None:
    engine = Engine(db, sequence("a"), concurrency=1)
    send(engine, *({"n": n} for n in range(6)))
    engine.hinted.hints.clear()  # the hint of the item that was let in is lost
    engine.register(2, concurrency=3)
    stuck_lines.StuckLines().run_once(engine.ctx)
    assert len(engine.hinted.hints) == 2
    engine.register(2)
    stuck_lines.StuckLines().run_once(engine.ctx)
    assert len(engine.hinted.hints) == 5
    engine.advance(seconds=3)
    assert statuses(engine) == ["completed"] * 6


def test_steps_of_one_key_do_not_wait_for_another(db: Database) -> None:
    held: list[str] = []

    def script(request: dict[str, Any], target: str) -> Reply:
        held.append(request["event"]["data"]["k"])
        return reply(200, {})

    engine = Engine(db, script, **KEYED)
    send(engine, {"k": "a"}, {"k": "b"}, {"k": "a"})
    engine.drain()
    assert sorted(held) == ["a", "a", "b"]
    assert ran(engine)
    assert step("a")


def test_a_key_that_fails_does_not_prevent_the_run(db: Database) -> None:
    engine = Engine(db, sequence(), concurrency=[{"limit": 1, "key": "event.data.k / 0"}])
    send(engine, {"k": 1}, {"k": 2})
    engine.drain()
    assert statuses(engine) == ["completed"] * 2
