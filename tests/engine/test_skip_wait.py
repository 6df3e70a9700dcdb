"""Skipping a wait: it ends as it would at its time, and nothing else changes."""

import threading
from datetime import timedelta
from typing import Any

import pytest

from inngest_py.domain.errors import Conflict, Invalid, NotFound
from inngest_py.domain.reply.read import Reply
from inngest_py.engine.admin import pause_function
from inngest_py.engine.admin.skip_wait import Waiting, skip
from inngest_py.engine.apps import task_settings
from inngest_py.engine.intake import publish
from inngest_py.engine.intake import waits as signals
from inngest_py.engine.runtime.audit import Actor
from inngest_py.engine.work import claims, end_run
from inngest_py.storage.db.session import Database
from tests.engine import waiting
from tests.engine.flow import rows
from tests.engine.harness import Engine, parallel, sequence
from tests.engine.shop import Shop, add
from tests.factories import op, reply, step
from tests.processes import wait_until

NAP = op("Sleep", "nap", name="3d")


def begun(engine: Engine, **fields: Any) -> str:
    """Start a run and let it come to its waits."""
    run_id = engine.start(**fields)
    engine.drain()
    return run_id


def skipped(engine: Engine, run_id: str, name: str | None = None) -> Waiting:
    """Skip a wait, and do what follows from it by its hint alone."""
    found = skip(engine.ctx, run_id, name)
    engine.drain()
    return found


def test_a_sleep_ends(db: Database) -> None:
    engine = Engine(db, waiting.waits(NAP))
    run_id = begun(engine)
    engine.now += timedelta(hours=1)
    found = skipped(engine, run_id)
    assert (found.kind, found.name, found.step) == ("sleep", "nap", step("nap"))
    run = engine.run(run_id)
    assert (run["status"], run["ended_at"]) == ("completed", engine.now)
    [slept] = waiting.tried(engine, run_id, "nap")
    assert (slept["status"], slept["ended_at"]) == ("completed", engine.now)
    requests = len(engine.sdk.requests)
    engine.advance(days=5)
    assert len(engine.sdk.requests) == requests  # at its own time nothing is left


@pytest.mark.parametrize("name", ["nap", step("nap"), "Long nap"])
def test_a_step_is_named_by_id_hash_or_name(db: Database, name: str) -> None:
    asked = {**op("Sleep", "nap", name="3d"), "displayName": "Long nap"}
    engine = Engine(db, waiting.waits(asked, waiting.for_event()))
    run_id = begun(engine)
    assert skipped(engine, run_id, name).kind == "sleep"
    assert set(engine.memo(run_id)) == {step("nap")}


@pytest.mark.parametrize("asked", [waiting.for_event("w"), waiting.for_signal("w")])
def test_a_wait_times_out(db: Database, asked: Any) -> None:
    engine = Engine(db, waiting.waits(asked))
    run_id = begun(engine)
    assert skipped(engine, run_id, "w").kind == "wait"
    assert engine.run(run_id)["status"] == "completed"
    assert engine.memo(run_id) == {step("w"): None}
    assert waiting.open_waits(engine, run_id) == []
    assert '"timedOut":true' in waiting.tried(engine, run_id, "w")[-1]["info"]


def test_what_comes_after_the_skip_ends_no_wait(db: Database) -> None:
    engine = Engine(db, waiting.waits(waiting.for_event("w"), waiting.for_signal("s")))
    run_id = begun(engine)
    skip(engine.ctx, run_id, "w")
    skip(engine.ctx, run_id, "s")
    assert signals.signal(engine.ctx, "sig", 1) is None
    waiting.send(engine)  # no worker has come to the time-outs yet
    assert engine.memo(run_id) == {step("w"): None, step("s"): None}


def test_an_event_that_was_quicker_ends_the_wait(db: Database) -> None:
    engine = Engine(db, waiting.waits(waiting.for_event("w")))
    run_id = begun(engine)
    hinted, engine.hinted.hints = engine.hinted.hints, []
    event = engine.event("x/y", data={"n": 1})
    publish.accept(engine.ctx, [event])
    with pytest.raises(Conflict, match="step 'w' does not wait: it is due"):
        skip(engine.ctx, run_id, "w")
    engine.hinted.hints += hinted
    engine.drain()
    assert engine.memo(run_id)[step("w")]["data"] == {"n": 1}


def test_an_invoking_step_gives_up_and_the_child_goes_on(db: Database) -> None:
    engine = Engine(db, sequence())
    waiting.add_functions(engine, {"app-parent": "p", "app-child": "c"})
    engine.sdk.script = lambda request, target: (
        waiting.waits(NAP)(request, target)
        if request["event"]["name"] == "inngest/function.invoked"
        else waiting.waits(waiting.invoke("i"))(request, target)
    )
    run_id = begun(engine, name="p")
    skipped(engine, run_id)
    assert engine.memo(run_id)[step("i")]["error"]["name"] == "InngestInvokeTimeoutError"
    assert engine.run(run_id)["status"] == "completed"
    [child] = [row[0] for row in rows(db, "SELECT id FROM runs WHERE ended_at IS NULL")]
    skipped(engine, child)
    assert engine.run(child)["status"] == "completed"


def test_a_wait_that_looks_back_ends(db: Database) -> None:
    engine = Engine(db, waiting.waits(waiting.for_event("w", look_back=True)))
    run_id = begun(engine)
    engine.advance(seconds=30)
    skipped(engine, run_id)
    assert engine.run(run_id)["status"] == "completed"
    assert engine.memo(run_id) == {step("w"): None}


def test_a_wait_that_still_looks_back_ends_when_it_has_seen_all(db: Database) -> None:
    engine = Engine(db, waiting.waits(waiting.for_event("w", look_back=True)))
    run_id = engine.start()
    if not db.locks_rows:  # on SQLite one look is enough
        return
    with db.transaction() as tx:
        publish.write_events(tx, engine.ctx, [engine.event("x/other")])
        engine.drain()
        [item] = engine.queued(run_id)
        assert engine.now < item["due_at"] < engine.now + timedelta(seconds=1)
        skipped(engine, run_id)
        assert engine.run(run_id)["status"] == "running"  # the event may be one that it wants
    engine.advance(seconds=1)  # the last look, and the time-out after it
    engine.advance()
    assert engine.run(run_id)["status"] == "completed"
    assert engine.memo(run_id) == {step("w"): None}


def failing_once(request: dict[str, Any], target: str) -> Reply:
    if not request["ctx"]["attempt"] and not request["steps"]:
        error = {"name": "E", "message": "m"}
        return reply(206, [op("StepError", "charge", error=error)], x_inngest_req_version="2")
    return sequence("charge")(request, target)


@pytest.mark.parametrize("name", [None, "charge"])
def test_the_next_attempt_begins(db: Database, name: str | None) -> None:
    engine = Engine(db, failing_once)
    run_id = begun(engine)
    engine.now += timedelta(seconds=1)
    found = skipped(engine, run_id, name)
    assert (found.kind, found.name) == ("retry", "charge")
    assert engine.run(run_id)["status"] == "completed"
    again = waiting.tried(engine, run_id, "charge")[-1]
    assert again["queued_at"] <= again["started_at"] <= again["ended_at"]


def test_a_run_that_is_to_start_later_starts(db: Database) -> None:
    engine = Engine(db, sequence("one"))
    later = int((engine.now + timedelta(days=2)).timestamp() * 1000)
    run_id = begun(engine, ts=later)
    assert engine.run(run_id)["status"] == "queued"
    assert skipped(engine, run_id).kind == "start"
    assert engine.run(run_id)["status"] == "completed"


def test_one_of_a_parallel_group_continues_alone(db: Database) -> None:
    engine = Engine(db, waiting.waits(NAP, op("Sleep", "rest", name="1d")))
    run_id = begun(engine)
    skipped(engine, run_id, "nap")
    assert engine.run(run_id)["status"] == "running"
    assert set(engine.memo(run_id)) == {step("nap")}
    skipped(engine, run_id)  # only one is left
    assert engine.run(run_id)["status"] == "completed"


def test_the_first_of_a_race_ends_it(db: Database) -> None:
    race = {"opts": {"parallelMode": "race"}}
    ops = [op("Sleep", name, name="1d", **race) for name in ("slow", "slower")]

    def script(request: dict[str, Any], target: str) -> Reply:
        done = [one["id"] for one in ops if one["id"] in request["steps"]]
        if done:
            return reply(200, done)
        return reply(206, ops, x_inngest_req_version="2")

    engine = Engine(db, script)
    run_id = begun(engine)
    skipped(engine, run_id, "slower")
    assert engine.run(run_id)["status"] == "completed"
    assert set(engine.memo(run_id)) == {step("slower")}


def test_a_throttle_still_counts_a_run_that_starts_earlier(db: Database) -> None:
    engine = Engine(db, sequence(), throttle={"limit": 1, "period": "1h"})
    later = int((engine.now + timedelta(days=2)).timestamp() * 1000)
    late = begun(engine, ts=later)
    begun(engine)
    skipped(engine, late)
    assert engine.run(late)["status"] == "queued"
    with pytest.raises(Conflict, match="waits for a limit"):
        skip(engine.ctx, late, engine.queued(late)[0]["id"])
    engine.advance(hours=1)
    assert engine.run(late)["status"] == "completed"


def test_the_audit_log_says_what_an_operator_skipped(db: Database) -> None:
    engine = Engine(db, waiting.waits(NAP, waiting.for_event("w")))
    run_id = begun(engine)
    skip(engine.ctx, run_id, "nap", Actor("ann"))
    skip(engine.ctx, run_id, "w")
    [(name, action, target, detail)] = rows(db, "SELECT name, action, target, detail FROM audit")
    assert (name, action, target) == ("ann", "run.skip", run_id)
    assert "sleep of step 'nap', due at 2026-01-05" in detail


def test_what_does_not_wait_is_refused(db: Database) -> None:
    engine = Engine(db, parallel("one", "two"))
    with pytest.raises(NotFound, match="does not exist"):
        skip(engine.ctx, engine.ctx.new_id())
    run_id = engine.start()
    with pytest.raises(Conflict, match="nothing in this run waits for its time"):
        skip(engine.ctx, run_id)
    engine.drain()
    with pytest.raises(Conflict, match="has ended: it is completed"):
        skip(engine.ctx, run_id)


def test_a_step_must_wait_and_be_clear(db: Database) -> None:
    again = {**op("Sleep", "nap:1", name="3d"), "displayName": "nap"}
    engine = Engine(db, waiting.waits(NAP, again, waiting.for_event("w")))
    run_id = begun(engine)
    with pytest.raises(Invalid, match=f"3 parts of the run wait.*'w'.*{step('nap')}") as caught:
        skip(engine.ctx, run_id)
    assert caught.value.field == "step"
    with pytest.raises(Invalid, match="no step 'other' of this run waits: what waits is") as caught:
        skip(engine.ctx, run_id, "other")
    assert caught.value.field == "step"
    with pytest.raises(Invalid, match="2 parts"):
        skip(engine.ctx, run_id, "nap")
    skipped(engine, run_id, step("nap:1"))
    assert set(engine.memo(run_id)) == {step("nap:1")}
    assert [one["step"] for one in engine.queued(run_id)].count(step("nap")) == 1


def test_a_paused_function_is_refused(db: Database) -> None:
    engine = Engine(db, waiting.waits(NAP))
    run_id = begun(engine)
    pause_function.pause(engine.ctx, "app-fn")
    with pytest.raises(Conflict, match="app-fn is paused: resume it"):
        skip(engine.ctx, run_id)
    pause_function.resume(engine.ctx, "app-fn")
    skipped(engine, run_id)
    assert engine.run(run_id)["status"] == "completed"


def test_what_runs_now_is_left_alone(db: Database) -> None:
    engine = Engine(db, failing_once)
    run_id = begun(engine)
    engine.now += timedelta(seconds=5)
    [item] = engine.queued(run_id)
    assert claims.claim(engine.ctx, [item["id"]])
    with pytest.raises(Conflict, match="step 'charge' does not wait: it runs now"):
        skip(engine.ctx, run_id, "charge")


def test_two_skips_and_the_time_itself_end_it_once(db: Database) -> None:
    engine = Engine(db, waiting.waits(NAP))
    run_id = begun(engine)
    told: list[Exception | None] = []
    start = threading.Barrier(2)

    def press() -> None:
        start.wait()
        try:
            skip(engine.ctx, run_id)
            told.append(None)
        except Conflict as error:
            told.append(error)

    threads = [threading.Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(told) == 2, 30)
    assert [error is None for error in told].count(True) == 1
    engine.drain()
    assert len(waiting.tried(engine, run_id, "nap")) == 1
    assert engine.run(run_id)["status"] == "completed"


def test_a_run_that_is_cancelled_meanwhile_stays_cancelled(db: Database) -> None:
    engine = Engine(db, waiting.waits(NAP))
    run_id = begun(engine)
    skip(engine.ctx, run_id)
    end_run.cancel(engine.ctx, run_id)
    engine.drain()
    assert engine.run(run_id)["status"] == "cancelled"
    with pytest.raises(Conflict, match="it is cancelled"):
        skip(engine.ctx, run_id)


def test_countdown_and_retry_of_a_celery_task_are_skipped(db: Database) -> None:
    shop = Shop(db)
    task_settings.configure(shop.ctx, "shop", "shop.add", {"retries": 2})
    run_id = shop.send(add.s(1, 2).set(countdown=60))
    assert shop.take() == []
    assert skip(shop.ctx, run_id).kind == "request"
    shop.drain()
    [message] = shop.take()
    shop.fail(message)
    assert skip(shop.ctx, run_id, "add").kind == "retry"
    shop.drain()
    shop.finish()
    assert shop.run(run_id)["status"] == "completed"
