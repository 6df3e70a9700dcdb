"""Rerunning runs, from the start and from a step."""

from typing import Any

import pytest
from sqlalchemy import text

from inngest_py.domain.errors import Invalid, NotFound
from inngest_py.domain.reply.read import Reply
from inngest_py.domain.runs.rerun import FromStep, NewData, from_step, with_result
from inngest_py.engine.admin.rerun import rerun
from inngest_py.engine.runtime.audit import Actor
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import timeline_rows, timelines
from tests.engine.harness import Engine, parallel, sequence
from tests.factories import RUN_ID, op, reply, step


def test_from_the_start(db: Database) -> None:
    engine = Engine(db, sequence("a", "b"))
    old = engine.start(data={"n": 1})
    engine.drain()
    new = rerun(engine.ctx, old)
    engine.drain()
    first, again = engine.run(old), engine.run(new)
    assert again["status"] == "completed"
    assert again["original_run_id"] == old
    assert (again["event_id"], again["output"]) == (first["event_id"], first["output"])
    assert engine.memo(new) == engine.memo(old)
    assert engine.sdk.requests[-1]["event"] == engine.sdk.requests[0]["event"]


@pytest.mark.parametrize("chosen", ["b", step("b")])
def test_from_a_step_with_new_input(db: Database, chosen: str) -> None:
    engine = Engine(db, sequence("a", "b", "c"))
    old = engine.start()
    engine.drain()
    sent = len(engine.sdk.requests)
    new = rerun(engine.ctx, old, from_step(chosen, [{"x": "é"}, 2]))
    engine.drain()
    first, second = engine.sdk.requests[sent : sent + 2]
    memo = {step("a"): {"data": 0}, step("b"): {"input": [{"x": "é"}, 2]}}
    assert first["steps"] == memo
    assert first["ctx"]["stack"] == {"stack": [step("a")], "current": 1}
    assert engine.run(new)["step_count"] == 2  # a, and c: the script counts the override
    with db.reading() as tx:
        copied, *ran = timeline_rows.attempts_of(tx, new)
    assert (copied["step"], copied["name"], copied["status"]) == (step("a"), "a", "completed")
    assert copied["started_at"] == copied["ended_at"] == engine.run(new)["queued_at"]
    assert step("a") not in [one["step"] for one in ran]
    assert second["steps"][step("b")] == memo[step("b")]


def test_a_result_given_by_hand_takes_the_place_of_the_step(db: Database) -> None:
    engine = Engine(db, sequence("a", "b", "c"))
    old = engine.start()
    engine.drain()
    sent = len(engine.sdk.requests)
    new = rerun(engine.ctx, old, with_result("b", {"by": "hand"}), Actor("ann"))
    engine.drain()
    first = engine.sdk.requests[sent]
    given = {step("a"): {"data": 0}, step("b"): {"data": {"by": "hand"}}}
    assert first["steps"] == given
    assert first["ctx"]["stack"] == {"stack": [step("a"), step("b")], "current": 2}
    run = engine.run(new)
    assert (run["status"], run["step_count"], run["input_step"]) == ("completed", 3, None)
    assert engine.memo(new) == {**given, step("c"): {"data": 2}}
    with db.reading() as tx:
        root = timelines.of_run(tx, run, has_output=True)
    names = ["a", "b", "c", "Finalization"]
    assert [(one.name, one.given_by) for one in root.children] == [
        (name, "ann" if name == "b" else None) for name in names
    ]
    again = engine.run(rerun(engine.ctx, new, FromStep("c")))
    with db.reading() as tx:  # also where a later rerun takes the result over
        root = timelines.of_run(tx, again, has_output=False)
    assert [one.given_by for one in root.children] == [None, "ann"]


def test_a_failed_step_gets_a_result_and_waits_get_none(db: Database) -> None:
    def script(request: dict[str, Any], target: str) -> Reply:
        if step("a") not in request["steps"]:
            return reply(206, [op("StepError", "a", error={"name": "E", "message": "m"})])
        return reply(206, [op("Sleep", "nap", name="1d")])

    engine = Engine(db, script)
    old = engine.start()
    engine.drain()
    new = rerun(engine.ctx, old, with_result(step("a"), None))
    engine.drain()
    with db.reading() as tx:
        root = timelines.of_run(tx, engine.run(new), has_output=False)
    assert [(one.name, one.given_by) for one in root.children] == [
        ("a", "the server"),
        ("nap", None),
    ]
    with pytest.raises(Invalid, match="gets no result by hand"):
        rerun(engine.ctx, new, with_result("nap", 1))


def test_with_other_data(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    old = engine.start(data={"n": 1}, user={"u": 1}, id="mine")
    engine.drain()
    new = rerun(engine.ctx, old, NewData({"n": 2}))
    engine.drain()
    first, again = engine.sdk.requests[0]["event"], engine.sdk.requests[-1]["event"]
    assert (again["name"], again["user"], again["data"]) == (first["name"], {"u": 1}, {"n": 2})
    assert again["id"] not in (first["id"], "mine")
    run = engine.run(new)
    assert (run["status"], run["original_run_id"]) == ("completed", old)
    assert run["event_id"] != engine.run(old)["event_id"]
    assert engine.run(old)["output"] == run["output"]
    with db.reading() as tx:  # the event has started nothing else
        assert tx.execute(text("SELECT count(*) FROM runs")).scalar() == 2


def test_the_stack_before_the_step_is_kept_in_order(db: Database) -> None:
    engine = Engine(db, parallel("a", "b", "c"))
    old = engine.start()
    engine.drain()
    stack = list(engine.memo(old))
    sent = len(engine.sdk.requests)
    new = rerun(engine.ctx, old, FromStep(stack[2]))
    engine.drain()
    assert engine.sdk.requests[sent]["ctx"]["stack"]["stack"] == stack[:2]
    assert engine.run(new)["status"] == "completed"
    assert engine.memo(new) == engine.memo(old)


def test_from_a_step_that_never_had_a_result(db: Database) -> None:
    broken = True

    def script(request: dict[str, Any], target: str) -> Reply:
        if step("a") not in request["steps"]:
            return reply(206, [op("StepRun", "a", data=1)])
        if step("b") in request["steps"]:
            return reply(200, "done")
        if broken:
            return reply(206, [op("StepError", "b", error={"name": "E", "message": "m"})])
        return reply(206, [op("StepRun", "b", data=2)])

    engine = Engine(db, script)
    old = engine.start()
    engine.drain()
    broken = False
    new = rerun(engine.ctx, old, FromStep("b"))
    engine.drain()
    assert engine.run(new)["status"] == "completed"
    assert [len(r["steps"]) for r in engine.sdk.requests] == [0, 1, 1, 2]
    assert engine.run(old)["status"] == "running"


def test_a_rerun_of_a_rerun_and_of_an_event_due_later(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    ms = int(engine.now.timestamp() * 1000) + 3_600_000
    old = engine.start(ts=ms)
    engine.drain()
    assert engine.run(old)["status"] == "queued"
    new = rerun(engine.ctx, rerun(engine.ctx, old))
    engine.drain()
    assert engine.run(new)["status"] == "completed"


def test_refused(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    with pytest.raises(NotFound):
        rerun(engine.ctx, RUN_ID)
    old = engine.start()
    engine.drain()
    with pytest.raises(Invalid, match="no step"):
        rerun(engine.ctx, old, FromStep("z"))
    with db.transaction() as tx:
        tx.execute(text("UPDATE functions SET archived_at = created_at"))
    with pytest.raises(Invalid, match="archived"):
        rerun(engine.ctx, old)
    with db.transaction() as tx:
        tx.execute(text("UPDATE functions SET archived_at = NULL"))
        tx.execute(text("DELETE FROM events"))
    with pytest.raises(Invalid, match="deleted"):
        rerun(engine.ctx, old)
    with db.reading() as tx:
        assert tx.execute(text("SELECT count(*) FROM runs")).scalar() == 1
