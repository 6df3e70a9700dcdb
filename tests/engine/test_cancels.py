"""Cancellations by events, on both databases."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from inngest_py.domain.reply.read import Reply
from inngest_py.engine.admin.rerun import rerun
from inngest_py.engine.intake import publish
from inngest_py.engine.runtime.context import new_ulid
from inngest_py.engine.work import cancel_on_event, run_item
from inngest_py.engine.work.end_run import cancel
from inngest_py.storage.db.session import Database
from inngest_py.storage.events import waits
from inngest_py.storage.queries import timeline_rows
from inngest_py.storage.queue import leases, queue_items
from tests.engine.flow import rows
from tests.engine.harness import Engine, Script, sequence, stored_events
from tests.factories import op, reply

BY_KEY = {"event": "x/stop", "if": "event.data.key == async.data.key"}
SLEEP = op("Sleep", "s", name="1h")
WAIT = op("WaitForEvent", "w", name="never", opts={"timeout": "1h"})
RETRY = op("StepError", "a", error={"name": "E", "message": "m"})


def answering(*ops: dict[str, Any]) -> Script:
    return lambda *_: reply(206, list(ops), x_inngest_req_version="2")


def stoppable(db: Database, script: Script, *entries: dict[str, Any]) -> Engine:
    engine = Engine(db, script)
    engine.register(cancel=list(entries or (BY_KEY,)))
    return engine


def pass_time(engine: Engine) -> None:
    """Let a millisecond pass: ids of the same millisecond have no order."""
    engine.now += timedelta(milliseconds=1)


def stop(engine: Engine, name: str = "x/stop", **data: Any) -> str:
    pass_time(engine)
    event = engine.event(name, data=data)
    publish.accept(engine.ctx, [event])
    return event.id


def listening(engine: Engine, run_id: str) -> list[dict[str, Any]]:
    with engine.ctx.db.reading() as tx:
        return [dict(row) for row in waits.of_run(tx, run_id)]


def ends(engine: Engine) -> Counter[tuple[str, str]]:
    """Count the events of runs' ends, by run."""
    with engine.ctx.db.reading() as tx:
        rows = stored_events(tx)
    told = [(orjson.loads(row["payload"]), row["name"]) for row in rows]
    return Counter(
        (event["data"]["run_id"], name.rpartition(".")[2])
        for event, name in told
        if name.startswith("inngest/function.")
    )


def assert_cancelled(engine: Engine, *run_ids: str) -> None:
    for run_id in run_ids:
        run = engine.run(run_id)
        assert (run["status"], run["output"]) == ("cancelled", None)
        assert not engine.queued(run_id)
        assert not listening(engine, run_id)
    wanted = {(run_id, name): 1 for run_id in run_ids for name in ("cancelled", "finished")}
    assert ends(engine) == wanted


@pytest.mark.parametrize("ops", [[SLEEP], [WAIT], [RETRY]], ids=["sleep", "wait", "retry"])
def test_a_run_under_way_is_cancelled_by_its_event(db: Database, ops: list[Any]) -> None:
    engine = stoppable(db, answering(*ops))
    run_id = engine.start(data={"key": 1})
    other = engine.start(data={"key": 2})
    engine.drain()
    event_id = stop(engine, key=1)
    engine.drain()
    assert_cancelled(engine, run_id)
    assert engine.run(other)["status"] == "running"
    with db.reading() as tx:
        shown = timeline_rows.attempts_of(tx, run_id)[-1]
    assert shown["status"] == "cancelled"
    assert event_id in orjson.loads(shown["error"])["message"]


def test_queued_run_is_cancelled_without_a_request(db: Database) -> None:
    engine = stoppable(db, sequence("a"))
    run_id = engine.start(data={"key": 1})
    waiting = engine.hinted.hints[:]
    engine.hinted.hints.clear()  # every worker is busy
    stop(engine, key=1)
    engine.drain()
    engine.hinted.hints += waiting
    engine.drain()
    assert_cancelled(engine, run_id)
    assert not engine.sdk.requests


def test_the_answer_of_a_call_in_flight_is_dropped(db: Database) -> None:
    called, go = threading.Event(), threading.Event()

    def script(request: dict[str, Any], target: str) -> Reply:
        called.set()
        go.wait(20)
        return reply(200, "late")

    engine = stoppable(db, script)
    run_id = engine.start(data={"key": 1})
    worker = threading.Thread(target=engine.drain)
    worker.start()
    assert called.wait(20)
    stop(engine, key=1)
    ((_, item_id),) = engine.hinted.hints
    run_item.work(engine.ctx, [item_id])
    assert_cancelled(engine, run_id)
    go.set()
    worker.join(20)
    assert_cancelled(engine, run_id)


def test_only_events_after_the_run_that_meet_the_condition_in_time_cancel(db: Database) -> None:
    engine = stoppable(db, answering(SLEEP), BY_KEY | {"timeout": "10m"})
    other = engine.start(data={"key": 1})
    stop(engine, key=1)  # stored before the next run, handled after that run was made
    pass_time(engine)
    run_id = engine.start(data={"key": 1})
    engine.drain()
    assert engine.run(other)["status"] == "cancelled"
    stop(engine, key="1")
    stop(engine)
    stop(engine, "x/other", key=1)
    engine.drain()
    assert engine.run(run_id)["status"] == "running"
    engine.advance(minutes=10)
    stop(engine, key=1)
    engine.drain()
    assert engine.run(run_id)["status"] == "running"


def test_a_sender_whose_clock_is_behind_cancels(db: Database) -> None:
    """The event's id has the time of its sender's clock: half a second before the run."""
    engine = stoppable(db, answering(SLEEP))
    run_id = engine.start(data={"key": 1})
    engine.drain()
    pass_time(engine)
    event = replace(engine.event("x/stop", data={"key": 1}), fresh=False)
    behind = new_ulid(engine.now - timedelta(milliseconds=500))
    publish.accept(engine.ctx, [replace(event, id=behind, external_id=behind)])
    engine.drain()
    assert engine.run(run_id)["status"] == "cancelled"


@pytest.mark.parametrize(("order", "status"), [((0, 1), "cancelled"), ((1, 0), "running")])
def test_events_of_one_request_come_in_its_order(
    db: Database, order: tuple[int, int], status: str
) -> None:
    engine = stoppable(db, answering(SLEEP))
    both = [engine.event("a/b", data={"key": 1}), engine.event("x/stop", data={"key": 1})]
    publish.accept(engine.ctx, [both[place] for place in order])
    engine.drain()
    assert [row[0] for row in rows(db, "SELECT status FROM runs")] == [status]


def test_a_run_is_not_cancelled_by_the_event_that_started_it(db: Database) -> None:
    engine = stoppable(db, answering(SLEEP), {"event": "a/b"})
    first = engine.start()
    engine.drain()
    assert engine.run(first)["status"] == "running"
    engine.now = engine.now.replace(second=30)
    second = engine.start()
    engine.drain()
    assert engine.run(first)["status"] == "cancelled"
    assert engine.run(second)["status"] == "running"


def test_subscriptions_are_deleted_with_their_run_and_reruns_have_their_own(db: Database) -> None:
    never = {"event": "x/stop", "if": "event.data.key == 'nobody'"}
    engine = stoppable(db, sequence("a"), BY_KEY, never, {"event": "y/stop"})
    run_id = engine.start(data={"key": 1})
    assert sorted(row["event_name"] for row in listening(engine, run_id)) == ["x/stop", "y/stop"]
    engine.drain()
    assert engine.run(run_id)["status"] == "completed"
    assert not listening(engine, run_id)
    again = rerun(engine.ctx, run_id)
    stop(engine, "y/stop")
    engine.drain()
    assert {engine.run(again)["status"]} <= {"cancelled", "completed"}
    assert not listening(engine, again)


def test_event_that_no_subscription_waits_for_queues_nothing(db: Database) -> None:
    engine = Engine(db, answering(SLEEP))
    run_id = engine.start(data={"key": 1})
    engine.drain()
    assert not listening(engine, run_id)
    stop(engine, key=1)
    assert not engine.hinted.hints


def test_event_cancels_very_many_runs_page_by_page(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancel_on_event, "MOST_AT_ONCE", 7)
    engine = stoppable(db, answering(SLEEP), BY_KEY, {"event": "x/stop"})
    run_ids = [engine.start(data={"key": n % 2}) for n in range(30)]
    engine.drain()
    stop(engine, key=1)
    ((_, item_id),) = engine.hinted.hints
    real = queue_items.note_progress
    turns = []

    def crash_once(*args: Any) -> None:
        real(*args)
        turns.append(args)
        if len(turns) == 3:
            raise KeyboardInterrupt  # the worker dies before this page's commit

    monkeypatch.setattr(queue_items, "note_progress", crash_once)
    with pytest.raises(KeyboardInterrupt):
        run_item.work(engine.ctx, [item_id])
    cancelled = rows(db, "SELECT id FROM runs WHERE status = 'cancelled'")
    assert 0 < len(cancelled) < 30
    with db.transaction() as tx:
        leases.release(tx, "w1", engine.now)
    engine.advance(seconds=3)
    assert_cancelled(engine, *run_ids)


def test_a_finishing_answer_and_cancellations_race_to_one_end(db: Database) -> None:
    engine = stoppable(db, sequence("a"))
    engine.ctx.committer = type(engine.ctx.committer)(db, shared=True)
    count = 12
    run_ids = [engine.start(data={"key": 1}) for _ in range(count)]
    stop(engine, key=1)
    hints = engine.hinted.hints[:]
    engine.hinted.hints.clear()
    jobs: list[Any] = [lambda item=item: run_item.work(engine.ctx, [item]) for _, item in hints]
    jobs[2:2] = [lambda run_id=run_id: cancel(engine.ctx, run_id) for run_id in run_ids[::3]]
    jobs.insert(3, jobs.pop())  # the event's item comes early
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(job) for job in jobs]:
            future.result(timeout=60)
    for _ in range(5):
        engine.drain()
        engine.advance(seconds=40)
    counted = ends(engine)
    for run_id in run_ids:
        status = engine.run(run_id)["status"]
        assert status in ("completed", "cancelled")
        assert counted[run_id, "finished"] == 1
        assert counted[run_id, "cancelled"] == (status == "cancelled")
        assert not engine.queued(run_id)
        assert not listening(engine, run_id)
