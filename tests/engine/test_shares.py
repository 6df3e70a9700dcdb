"""Jobs of an app that has used up its part of the slots wait, and run as its calls end."""

import threading
from typing import Any

import orjson
import pytest

from inngest_py.domain.connect import worker_hello
from inngest_py.domain.connect.messages_pb2 import AppConfiguration, WorkerConnectRequestData
from inngest_py.domain.reply.read import Reply
from inngest_py.engine.admin import why_run_waits
from inngest_py.engine.connect import apps
from inngest_py.engine.runtime.app_fairness import CONNECTED, Fairness
from inngest_py.engine.upkeep.app_lines import AppLines
from inngest_py.engine.work import run_item
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import queue_stats
from tests.engine.flow import ran, rows, send, statuses
from tests.engine.harness import Engine, sequence

OTHER = "other.example:1"


def shared(db: Database, script: Any, slots: int = 4, **config: Any) -> tuple[Engine, AppLines]:
    """Make an engine whose process knows another app: of four slots, three are for our app."""
    engine = Engine(db, script, **config)
    engine.ctx.fairness = Fairness(slots)
    engine.ctx.fairness.set_hosts(["localhost:1", OTHER])
    return engine, AppLines()


def let_in(engine: Engine, service: AppLines) -> int:
    """Let in waiting jobs as upkeep does; return how many may run."""
    service._look(engine.ctx)
    engine.ctx.fairness.set_hosts(["localhost:1", OTHER])
    service._look_at = float("inf")
    service.run_once(engine.ctx)
    return len(engine.hinted.hints)


def test_jobs_that_find_no_room_run_later(db: Database) -> None:
    release, calls = threading.Event(), threading.Semaphore(0)

    def script(request: dict[str, Any], target: str) -> Reply:
        calls.release()
        assert release.wait(30)
        return sequence("a")(request, target)

    engine, service = shared(db, script)
    send(engine, *({"n": n} for n in range(8)))
    hints, engine.hinted.hints = engine.hinted.hints, []
    jobs = run_item.claim(engine.ctx, [item_id for _, item_id in hints])
    assert len(jobs) == 3
    with db.reading() as tx:
        assert queue_stats.in_waiting_lines(tx, 100) == {"app": 5}
    begun = rows(db, "SELECT status, started_at IS NULL, count(*) FROM runs GROUP BY 1, 2")
    assert sorted(tuple(row) for row in begun) == [("queued", True, 5), ("running", False, 3)]
    threads = [threading.Thread(target=run_item.run_job, args=(engine.ctx, job)) for job in jobs]
    for thread in threads:
        thread.start()
        assert calls.acquire(timeout=30)
    assert let_in(engine, service) == 0
    (run_id,) = rows(db, "SELECT run_id FROM queue_items WHERE state = 'waiting' LIMIT 1")[0]
    told = why_run_waits.of_run(engine.ctx, run_id)
    assert [(one.kind, one.details) for one in told.reasons] == [("app", {"host": "localhost:1"})]
    release.set()
    for thread in threads:
        thread.join(30)
    assert let_in(engine, service) == 3
    engine.drain()
    assert let_in(engine, service) == 2
    engine.drain()
    assert statuses(engine) == ["completed"] * 8
    assert let_in(engine, service) == 0
    assert engine.ctx.fairness.waiting_hosts == []


@pytest.mark.parametrize(
    "config",
    [
        {"throttle": {"limit": 6, "period": "1h", "burst": 1}},
        {"concurrency": 6},
        {"concurrency": {"fn": [{"limit": 6}]}},
    ],
)
def test_waiting_jobs_are_charged_once_by_other_limits(
    db: Database, config: dict[str, Any]
) -> None:
    """A run that was charged by its throttle is not charged again, and every run is let in."""
    engine, service = shared(db, sequence("a"), **config)
    send(engine, *({"n": n} for n in range(6)))
    hints, engine.hinted.hints = engine.hinted.hints, []
    jobs = run_item.claim(engine.ctx, [item_id for _, item_id in hints])
    assert len(jobs) == min(3, len(hints))
    for job in jobs:
        run_item.run_job(engine.ctx, job)
    for _ in range(6):
        let_in(engine, service)
        engine.drain()
        engine.advance(seconds=1)
    engine.advance(hours=6)
    for _ in range(6):
        let_in(engine, service)
        engine.drain()
    assert statuses(engine) == ["completed"] * 6
    assert sorted(set(ran(engine))) == list(range(6))


def test_one_app_alone_has_every_slot(db: Database) -> None:
    engine, _ = shared(db, sequence())
    engine.ctx.fairness.set_hosts(["localhost:1"])
    send(engine, *({} for _ in range(8)))
    assert len(run_item.claim(engine.ctx, [item_id for _, item_id in engine.hinted.hints])) == 8


def connect(engine: Engine) -> str:
    """Sync the app of a connected worker; return its id."""
    step = {"id": "step", "runtime": {"type": "ws", "url": "ws://connect?fnId=there-fn&step=step"}}
    function = {
        "id": "there-fn",
        "name": "fn",
        "triggers": [{"event": "a/there"}],
        "steps": {"step": step},
    }
    functions = orjson.dumps([function])
    asked = WorkerConnectRequestData(
        connection_id="01J00000000000000000000000",
        instance_id="there",
        apps=[AppConfiguration(app_name="there", functions=functions)],
        sdk_language="py",
        sdk_version="v1",
    )
    (app_id,) = apps.sync(engine.ctx, worker_hello.read(asked.SerializeToString()))[0]
    return app_id


@pytest.mark.parametrize(
    ("of_connections_only", "workers_here", "held"), [(False, 1, 3), (False, 0, 4), (True, 1, 4)]
)
def test_a_connected_app_has_its_part_where_its_workers_are(
    db: Database, of_connections_only: bool, workers_here: int, held: int
) -> None:
    """Otherwise an app over HTTP that hangs would keep all calls of an embedded server."""
    engine, _ = shared(db, sequence())
    app_id = connect(engine)
    engine.ctx.fairness.capacity = {app_id: 9 * workers_here}.__getitem__
    AppLines(connected_only=of_connections_only)._look(engine.ctx)
    here = CONNECTED + app_id if of_connections_only else "localhost:1"
    assert sum(engine.ctx.fairness.admit("lease", [here] * 4)) == held
