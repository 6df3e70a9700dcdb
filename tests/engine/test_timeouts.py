"""Time-outs of runs, on both databases."""

import threading
from typing import Any

import orjson
import pytest

from inngest_py.domain.reply.read import Reply
from inngest_py.engine.admin.rerun import rerun
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import timeline_rows
from tests.engine.harness import Engine, Script, sequence, stored_events
from tests.factories import op, reply

SLEEPER = (op("Sleep", "s", name="1h"),)


def answering(*ops: dict[str, Any]) -> Script:
    return lambda *_: reply(206, list(ops), x_inngest_req_version="2")


def limited(db: Database, script: Script, **timeouts: str) -> Engine:
    engine = Engine(db, script)
    engine.register(timeouts=timeouts)
    return engine


def assert_cancelled(engine: Engine, run_id: str, said: str) -> None:
    run = engine.run(run_id)
    assert (run["status"], run["output"]) == ("cancelled", None)
    assert not engine.queued(run_id)
    with engine.ctx.db.reading() as tx:
        shown = [
            row for row in timeline_rows.attempts_of(tx, run_id) if row["op"] == "Cancellation"
        ]
        names = [row["name"] for row in stored_events(tx)]
    assert [said in orjson.loads(row["error"])["message"] for row in shown] == [True]
    assert sorted(name for name in names if name.startswith("inngest/")) == [
        "inngest/function.cancelled",
        "inngest/function.finished",
    ]


def test_a_run_that_does_not_start_in_time_is_cancelled(db: Database) -> None:
    engine = limited(db, sequence("a"), start="10s")
    run_id = engine.start()
    engine.hinted.hints.clear()  # every worker is busy
    (timer,) = [item for item in engine.queued(run_id) if item["kind"] == "timeout"]
    engine.now = timer["due_at"]
    engine.hinted.send([(timer["kind"], timer["id"])])
    engine.drain()
    assert_cancelled(engine, run_id, "did not start within 10 s")
    assert not engine.sdk.requests


def test_a_first_request_that_comes_too_late_is_not_made(db: Database) -> None:
    engine = limited(db, sequence("a"), start="10s")
    run_id = engine.start()
    engine.now = engine.run(run_id)["queued_at"].replace(second=59)
    engine.drain()  # the start item alone: nobody has hinted at the timer
    assert_cancelled(engine, run_id, "did not start within 10 s")
    assert not engine.sdk.requests


def test_a_run_that_starts_in_time_only_loses_its_start_timer(db: Database) -> None:
    engine = limited(db, answering(*SLEEPER), start="10s")
    run_id = engine.start()
    engine.drain()
    engine.advance(seconds=11)
    assert [item["kind"] for item in engine.queued(run_id)] == ["sleep"]
    assert engine.run(run_id)["status"] == "running"


@pytest.mark.parametrize(
    "ops",
    [SLEEPER, (op("StepError", "a", error={"name": "E"}),)],
    ids=["sleeping", "between attempts"],
)
def test_a_run_that_does_not_finish_in_time_is_cancelled(db: Database, ops: Any) -> None:
    engine = limited(db, answering(*ops), finish="3s")
    run_id = engine.start()
    engine.drain()
    engine.advance(seconds=2)
    assert engine.run(run_id)["status"] == "running"
    engine.advance(seconds=1)
    assert_cancelled(engine, run_id, "did not finish within 3 s")


def test_no_request_goes_out_after_the_time(db: Database) -> None:
    def script(request: dict[str, Any], target: str) -> Reply:
        engine.now = engine.run(run_id)["queued_at"].replace(second=59)
        return sequence("a", "b")(request, target)

    engine = limited(db, script, finish="3s")
    run_id = engine.start()
    engine.drain()
    assert len(engine.sdk.requests) == 1
    assert_cancelled(engine, run_id, "did not finish within 3 s")


def test_a_call_in_flight_is_not_interrupted_and_its_answer_is_dropped(db: Database) -> None:
    called, go = threading.Event(), threading.Event()

    def script(request: dict[str, Any], target: str) -> Reply:
        called.set()
        go.wait(20)
        return reply(200, "late")

    engine = limited(db, script, finish="3s")
    run_id = engine.start()
    worker = threading.Thread(target=engine.drain)
    worker.start()
    assert called.wait(20)
    engine.advance(seconds=4)
    assert engine.run(run_id)["status"] == "cancelled"
    go.set()
    worker.join(20)
    assert_cancelled(engine, run_id, "did not finish within 3 s")


def test_timers_are_deleted_with_their_run_and_reruns_have_their_own(db: Database) -> None:
    engine = limited(db, sequence("a"), start="10s", finish="1m")
    run_id = engine.start()
    assert {item["kind"] for item in engine.queued(run_id)} == {"start", "timeout"}
    engine.drain()
    assert engine.run(run_id)["status"] == "completed"
    assert not engine.queued(run_id)
    again = rerun(engine.ctx, run_id)
    assert {item["kind"] for item in engine.queued(again)} == {"start", "timeout"}
    engine.drain()
    assert not engine.queued(again)


def test_functions_without_timeouts_have_no_timers(db: Database) -> None:
    engine = Engine(db, answering(*SLEEPER))
    run_id = engine.start()
    assert [item["kind"] for item in engine.queued(run_id)] == ["start"]
    engine.drain()
    assert [item["kind"] for item in engine.queued(run_id)] == ["sleep"]
