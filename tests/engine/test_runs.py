"""Runs from event to end, step by step, on both databases."""

import sqlite3
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from inngest_py.domain.errors import Invalid, NotFound
from inngest_py.domain.reply.read import Reply
from inngest_py.domain.runs.runs import RunStatus
from inngest_py.engine.intake import publish
from inngest_py.engine.work import claims, run_item
from inngest_py.engine.work.end_run import cancel
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import timeline_rows
from inngest_py.storage.queue import leases
from tests.engine.flow import Statements
from tests.engine.harness import Engine, Sdk, parallel, sequence, stored_events, stored_runs
from tests.factories import op, reply, step


def test_steps_run_one_after_another_in_place(db: Database) -> None:
    engine = Engine(db, sequence("a", "b", "c"))
    run_id = engine.start()
    engine.drain()
    run = engine.run(run_id)
    assert (run["status"], run["output"]) == ("completed", '{"done":3}')
    assert engine.memo(run_id) == {step(n): {"data": i} for i, n in enumerate("abc")}
    assert [r["ctx"]["stack"]["current"] for r in engine.sdk.requests] == [0, 1, 2, 3]
    assert [r["version"] for r in engine.sdk.requests] == [-1, 2, 2, 2]
    assert not engine.queued(run_id)
    assert not engine.hinted.hints


@pytest.mark.parametrize(("version", "discoveries"), [("2", 2), ("1", 4)])
def test_parallel_steps_run_once_each(db: Database, version: str, discoveries: int) -> None:
    engine = Engine(db, parallel("a", "b", "c", version=version))
    run_id = engine.start()
    engine.drain()
    assert engine.run(run_id)["status"] == "completed"
    assert set(engine.memo(run_id)) == {step("a"), step("b"), step("c")}
    asked = [len(r["steps"]) for r in engine.sdk.requests]
    assert len(asked) <= 3 + discoveries
    with db.reading() as tx:
        tried = [row["name"] for row in timeline_rows.attempts_of(tx, run_id)]
    assert sorted(tried) == ["Finalization", "a", "b", "c"]


def test_version_2_clears_the_force_plan_flag_with_the_discovery(db: Database) -> None:
    engine = Engine(db, parallel("a", "b"))
    engine.start()
    engine.drain()
    flags = [r["ctx"]["disable_immediate_execution"] for r in engine.sdk.requests]
    assert flags == [False, True, True, False]


def test_a_race_runs_no_step_twice_and_waits_for_none(db: Database) -> None:
    """Script an SDK that runs the one step it finds unless it must plan, as TypeScript's does."""
    race = {"opts": {"parallelMode": "Race"}}
    ops = {"a": op("StepPlanned", "a", **race), "slow": op("Sleep", "slow", name="1h", **race)}
    ran: list[str] = []

    def script(request: dict[str, Any], target: str) -> Reply:
        left = [one for name, one in ops.items() if step(name) not in request["steps"]]
        if step("a") in request["steps"] and step("after") not in request["steps"]:
            left.append(op("StepPlanned", "after"))
        elif step("after") in request["steps"] and step("end") not in request["steps"]:
            left.append(op("StepPlanned", "end"))
        elif step("end") in request["steps"]:
            return reply(200, "won")
        planned = [one["displayName"] for one in left if one["op"] == "StepPlanned"]
        for name in planned:
            alone = len(left) == 1 and not request["ctx"]["disable_immediate_execution"]
            if target == step(name) or (target == "step" and alone):
                ran.append(name)
                return reply(206, [op("StepRun", name)], x_inngest_req_version="2")
        return reply(206, left, x_inngest_req_version="2")

    engine = Engine(db, script)
    run_id = engine.start()
    engine.drain()
    assert ran == ["a", "after", "end"]
    assert engine.run(run_id)["output"] == '"won"'
    flags = [r["ctx"]["disable_immediate_execution"] for r in engine.sdk.requests]
    assert flags == [False, *[True] * (len(flags) - 1)]


def test_a_failing_step_is_retried_later_and_its_error_reaches_user_code(db: Database) -> None:
    def script(request: dict[str, Any], target: str) -> Reply:
        if step("a") in request["steps"]:
            return reply(200, request["steps"][step("a")])
        return reply(206, [op("StepError", "a", error={"name": "E", "message": "m"})])

    engine = Engine(db, script, retries=1)
    run_id = engine.start()
    engine.drain()
    assert [item["attempt"] for item in engine.queued(run_id)] == [1]
    engine.advance(seconds=4)
    assert len(engine.sdk.requests) == 1
    engine.advance(seconds=1)
    assert engine.run(run_id)["output"] == '{"error":{"message":"m","name":"E"}}'
    assert [r["ctx"]["attempt"] for r in engine.sdk.requests] == [0, 1, 0]


def test_a_failed_run_publishes_both_events_once(db: Database) -> None:
    engine = Engine(db, lambda *_: reply(400, {"name": "E"}, x_inngest_no_retry="true"))
    run_id = engine.start()
    engine.drain()
    assert engine.run(run_id)["status"] == "failed"
    with db.reading() as tx:
        stored = {
            name: stored_events(tx, name)
            for name in ("inngest/function.failed", "inngest/function.finished")
        }
    assert [len(found) for found in stored.values()] == [1, 1]
    assert stored["inngest/function.failed"][0]["external_id"] == run_id
    for found in stored.values():
        error = orjson.loads(found[0]["payload"])["data"]["error"]
        assert (error["error"], error["name"]) == ("NonRetriableError", "E")


WHOLE = {"id": step("complete"), "error": {"name": "E", "message": "rather long"}}


@pytest.mark.parametrize(
    "answer",
    [
        reply(500, {"name": "E", "message": "rather long"}),
        reply(400, {"name": "E", "message": "rather long"}, x_inngest_no_retry="true"),
        reply(206, [{"op": "StepError"} | WHOLE]),
        reply(206, [{"op": "StepFailed"} | WHOLE]),
    ],
)
def test_the_events_of_a_failure_have_its_text_in_the_error_and_the_result(
    db: Database, answer: Reply
) -> None:
    engine = Engine(db, lambda *_: answer, retries=0)
    engine.start()
    engine.drain()
    with db.reading() as tx:
        for name in ("inngest/function.failed", "inngest/function.finished"):
            [found] = stored_events(tx, name)
            data = orjson.loads(found["payload"])["data"]
            assert data["error"]["message"] == data["result"]["message"] == "rather long"
            assert found["payload"].count("rather long") == 2


def test_sleep_holds_nothing_and_the_run_continues_after_it(db: Database) -> None:
    def script(request: dict[str, Any], target: str) -> Reply:
        if step("s") in request["steps"]:
            return reply(200, "awake")
        return reply(206, [op("Sleep", "s", name="1h")], x_inngest_req_version="2")

    engine = Engine(db, script)
    run_id = engine.start()
    engine.drain()
    (item,) = engine.queued(run_id)
    assert (item["kind"], item["state"]) == ("sleep", "ready")
    engine.advance(minutes=59)
    assert engine.run(run_id)["status"] == "running"
    engine.advance(minutes=1)
    assert engine.run(run_id)["output"] == '"awake"'
    assert engine.memo(run_id) == {step("s"): None}


def test_an_event_of_the_future_starts_then(db: Database) -> None:
    engine = Engine(db, sequence())
    later = engine.now + timedelta(hours=1)
    run_id = engine.start(ts=int(later.timestamp() * 1000))
    engine.drain()
    assert engine.run(run_id)["status"] == "queued"
    engine.advance(hours=1)
    assert engine.run(run_id)["status"] == "completed"


def test_an_event_id_starts_one_run_in_24_hours(db: Database) -> None:
    engine = Engine(db, sequence())
    for _ in range(2):
        publish.accept(engine.ctx, [engine.event(id="mine")])
    with db.reading() as tx:
        assert len(stored_runs(tx)) == 1
        assert len(stored_events(tx, internal=False)) == 2
    engine.now += timedelta(hours=24, seconds=1)
    publish.accept(engine.ctx, [engine.event(id="mine")])
    with db.reading() as tx:
        assert len(stored_runs(tx)) == 2


@pytest.mark.parametrize("fresh", [False, True], ids=["a retry", "a commit's answer was lost"])
def test_an_event_that_is_stored_already_starts_nothing_twice(db: Database, fresh: bool) -> None:
    engine = Engine(db, sequence())
    event = replace(engine.event(), fresh=fresh)
    publish.accept(engine.ctx, [event])
    publish.accept(engine.ctx, [event])
    with db.reading() as tx:
        assert len(stored_runs(tx)) == 1


def test_a_seed_used_for_another_event_is_refused_and_loses_nothing(db: Database) -> None:
    engine = Engine(db, sequence())
    first, other = engine.event(data={"n": 1}), engine.event(data={"n": 2})
    publish.accept(engine.ctx, [first])
    with pytest.raises(Invalid, match="x-inngest-event-id-seed"):
        publish.accept(engine.ctx, [engine.event(), replace(other, id=first.id)])
    with db.reading() as tx:
        assert [row["id"] for row in stored_events(tx, internal=False)] == [first.id]


def test_cancelling_in_mid_call_ignores_the_late_answer(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    run_id = engine.start()
    inner = engine.sdk.script

    def script(request: dict[str, Any], target: str) -> Reply:
        assert cancel(engine.ctx, run_id) is RunStatus.RUNNING
        return inner(request, target)

    engine.sdk.script = script
    engine.drain()
    run = engine.run(run_id)
    assert (run["status"], run["step_count"]) == ("cancelled", 0)
    assert not engine.queued(run_id)
    assert cancel(engine.ctx, run_id) is RunStatus.CANCELLED
    with pytest.raises(NotFound):
        cancel(engine.ctx, "01JD0000000000000000000000")


@pytest.mark.parametrize(
    "late",
    [
        reply(206, [op("StepRun", "a", data=1)]),
        reply(206, [op("StepPlanned", "a"), op("StepPlanned", "b")]),
        reply(206, [op("Sleep", "nap", name="1h")]),
        reply(206, [op("StepError", "a", error={"name": "E", "message": "m"})]),
        reply(206, [op("StepFailed", "a", error={"name": "E", "message": "m"})]),
        reply(206, []),
        reply(200, "late"),
        reply(500, {"message": "m"}),
        reply(500, {"message": "m"}, x_inngest_no_retry="true"),
    ],
    ids=[
        "step",
        "planned",
        "sleep",
        "step-error",
        "step-failed",
        "nothing",
        "result",
        "error",
        "failure",
    ],
)
def test_a_lost_lease_writes_nothing(db: Database, late: Reply) -> None:
    engine = Engine(db, sequence("a"))
    run_id = engine.start()
    [before] = engine.queued(run_id)

    def stolen(request: dict[str, Any], target: str) -> Reply:
        with db.transaction() as tx:
            leases.release(tx, "w1", engine.now)
        return late

    engine.sdk.script = stolen
    engine.drain()
    assert engine.memo(run_id) == {}
    found = engine.run(run_id)
    assert (found["step_count"], found["status"], found["output"]) == (0, "running", None)
    [after] = engine.queued(run_id)
    assert (after["id"], after["kind"]) == (before["id"], before["kind"])
    assert (after["attempt"], after["state"], after["due_at"]) == (0, "ready", before["due_at"])
    engine.sdk.script = sequence("a")
    engine.advance(seconds=2)
    assert engine.run(run_id)["status"] == "completed"
    assert engine.memo(run_id) == {step("a"): {"data": 0}}


def test_a_lapsed_lease_makes_the_item_ready_again(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    engine.start()
    ((_, item_id),) = engine.hinted.hints
    assert len(claims.claim(engine.ctx, [item_id])) == 1
    assert not claims.claim(engine.ctx, [item_id])
    with db.transaction() as tx:
        assert len(leases.free_lapsed(tx, engine.now, 10)) == 0
        engine.now += timedelta(seconds=31)
        assert len(leases.free_lapsed(tx, engine.now, 10)) == 1
    assert len(claims.claim(engine.ctx, [item_id])) == 1


def test_stopping_worker_gives_back_its_leases(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    engine.start()
    ((_, item_id),) = engine.hinted.hints
    claims.claim(engine.ctx, [item_id])
    assert run_item.give_back(engine.ctx, engine.now) == 1
    assert len(claims.claim(engine.ctx, [item_id])) == 1


def test_the_sdk_is_called_without_a_connection_held(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    inner = engine.sdk.script

    def script(request: dict[str, Any], target: str) -> Reply:
        out = db.engine.pool.checkedout()  # type: ignore[attr-defined]
        assert out == (1 if db.is_sqlite else 0)  # one is kept for writes to SQLite
        if db.file is not None:
            with sqlite3.connect(db.file, timeout=0) as other:
                other.execute("BEGIN IMMEDIATE")  # it is in no transaction
            other.close()
        return inner(request, target)

    engine.sdk.script = script
    engine.start()
    engine.drain()
    assert isinstance(engine.sdk, Sdk)
    assert len(engine.sdk.requests) == 2


def test_end_of_a_run_without_waits_or_defers_reads_none(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    engine.start()
    with Statements(db) as statements:
        engine.drain()
    assert not [one for one in statements.seen if "defers." in one or "DELETE FROM waits" in one]
