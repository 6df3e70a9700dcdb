"""Answers without progress: a run continues, or fails with a reason, but never hangs."""

import random
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from inngest_py import observe
from inngest_py.domain.reply import checkpoint as checkpoints
from inngest_py.domain.reply.read import Reply
from inngest_py.domain.runs import rounds
from inngest_py.engine.upkeep.stranded import Stranded
from inngest_py.engine.work import checkpoint, claims, end_run, run_item
from inngest_py.storage.db.session import Database
from tests.engine.harness import Engine, Script, parallel, sequence
from tests.engine.waiting import send
from tests.factories import op, reply, step

V2 = {"x_inngest_req_version": "2"}
DEFER = {"op": "DeferAdd", "id": step("d"), "opts": {"fn_slug": "app-fn", "input": {}}}
A_DONE = op("StepRun", "a", data=1)


def after_a(*ops: dict[str, Any]) -> Script:
    """Script a function that runs `a` and then answers the same for ever."""

    def script(request: dict[str, Any], target: str) -> Reply:
        return reply(206, list(ops) if step("a") in request["steps"] else [A_DONE], **V2)

    return script


def targeted(*planned: str, answer: list[dict[str, Any]]) -> Script:
    """Script a function that plans steps and answers a request for one of them with other ops."""

    def script(request: dict[str, Any], target: str) -> Reply:
        left = [op("StepPlanned", name) for name in planned if step(name) not in request["steps"]]
        return reply(206, left if target == "step" else answer, **V2)

    return script


LEADS_NOWHERE: dict[str, Script] = {
    "no ops": after_a(),
    "only a deferred function": after_a(DEFER),
    "an op without meaning": after_a({"op": "None", "id": step("n")}),
    "asks for a discovery": after_a({"op": "DiscoveryRequest"}),
    "the step again": after_a(A_DONE),
    "the step planned": after_a(op("StepPlanned", "a")),
    "the step asleep": after_a(op("Sleep", "a", name="1h")),
    "the step waits": after_a(op("WaitForEvent", "a", name="x/y", opts={"timeout": "1h"})),
    "the step waits for a signal": after_a(op("WaitForSignal", "a", opts={"signal": "s"})),
    "the step invokes": after_a(op("InvokeFunction", "a", opts={"function_id": "app-fn"})),
    "the step calls": after_a(op("Gateway", "a", opts={"url": "http://localhost:1/"})),
    "the step calls a model": after_a(op("AIGateway", "a", opts={"url": "http://localhost:1/"})),
    "a group that is stored": after_a(A_DONE, op("StepPlanned", "a")),
    "a targeted step planned": targeted("b", answer=[op("StepPlanned", "b")]),
    "a targeted step forgotten": targeted("b", answer=[]),
    "one of a group forgotten": targeted("a", "b", answer=[A_DONE]),
    "one of a group without meaning": targeted("a", "b", answer=[{"op": "None", "id": "n"}]),
}


def ended(engine: Engine, run_id: str) -> dict[str, Any]:
    """Continue a run for as long as it may without progress; return it as it is then."""
    for _ in range(6 * rounds.MOST):
        engine.drain()
        found = engine.run(run_id)
        if found["status"] not in ("queued", "running"):
            return found
        engine.advance(seconds=1)
    return engine.run(run_id)


@pytest.mark.parametrize("answers", LEADS_NOWHERE)
def test_run_without_progress_fails_and_says_so(db: Database, answers: str) -> None:
    engine = Engine(db, LEADS_NOWHERE[answers])
    run_id = engine.start()
    found = ended(engine, run_id)
    assert found["status"] == "failed"
    error = orjson.loads(found["output"])["error"]
    assert error["name"] == "NoProgress"
    assert f"{rounds.MOST} times in a row" in error["message"]
    assert len(engine.sdk.requests) <= 3 * (rounds.MOST + 2)
    assert not engine.queued(run_id)


def test_run_that_makes_progress_late_continues(db: Database) -> None:
    def script(request: dict[str, Any], target: str) -> Reply:
        if step("b") in request["steps"]:
            return reply(200, "done")
        late = sum(step("a") in asked["steps"] for asked in engine.sdk.requests)
        if late <= rounds.MOST:
            return after_a(DEFER)(request, target)
        return reply(206, [op("StepRun", "b")], **V2)

    engine = Engine(db, script)
    run_id = engine.start()
    assert ended(engine, run_id)["status"] == "completed"


@pytest.mark.parametrize("answer", [[], [op("StepRun", "c")], [{"op": "None", "id": "n"}]])
def test_group_continues_when_a_member_got_another_answer(db: Database, answer: list[Any]) -> None:
    """The first request for `b` brings other ops; the second, after the group, brings `b`."""
    asked: list[str] = []

    def script(request: dict[str, Any], target: str) -> Reply:
        asked.append(target)
        if target == step("b") and asked.count(target) == 1:
            return reply(206, answer, **V2)
        return parallel("a", "b")(request, target)

    engine = Engine(db, script)
    run_id = engine.start()
    assert ended(engine, run_id)["status"] == "completed"
    assert asked.count(step("a")) == 1
    assert asked.count(step("b")) == 2


def test_step_without_progress_ends_nothing_while_a_parallel_step_waits(db: Database) -> None:
    wait = op("WaitForEvent", "w", name="x/y", opts={"timeout": "30d"})

    def script(request: dict[str, Any], target: str) -> Reply:
        if target == step("b") and step("w") not in request["steps"]:
            return reply(206, [op("StepPlanned", "b")], **V2)
        if target == step("b"):
            return reply(206, [op("StepRun", "b")], **V2)
        left = [one for one in (wait, op("StepPlanned", "b")) if one["id"] not in request["steps"]]
        return reply(206, left, **V2) if left else reply(200, "done")

    engine = Engine(db, script)
    run_id = engine.start()
    assert ended(engine, run_id)["status"] == "running"
    asked = len(engine.sdk.requests)
    engine.advance(seconds=30)
    assert len(engine.sdk.requests) <= asked + 1  # it is asked about once a minute
    send(engine)
    engine.advance(minutes=2)
    assert ended(engine, run_id)["status"] == "completed"


def test_app_that_ignores_use_api_gets_an_error_that_says_so(db: Database) -> None:
    """Its state is too large for a request, so it sees no step and runs the first one again."""
    big = "x" * 1_500_000
    names = ["a", "b", "c"]

    def script(request: dict[str, Any], target: str) -> Reply:
        done = len(request["steps"])
        return reply(206, [op("StepRun", names[done], data=big)], **V2)

    engine = Engine(db, script)
    run_id = engine.start()
    found = ended(engine, run_id)
    assert found["status"] == "failed"
    assert "use_api" in orjson.loads(found["output"])["error"]["message"]


def test_checkpoints_are_progress(db: Database) -> None:
    """An app whose requests are cut short asks for a discovery each time, but makes progress."""
    names = [f"s{number}" for number in range(3 * rounds.MOST)]

    def script(request: dict[str, Any], target: str) -> Reply:
        done = len(request["steps"])
        if done == len(names):
            return reply(200, "done")
        ctx = request["ctx"]
        body = {"qi_id": ctx["qi_id"], "steps": [op("StepRun", names[done])]}
        given = checkpoints.parse(orjson.dumps(body), ctx["run_id"])
        checkpoint.store(engine.ctx, ctx["run_id"], given)
        return reply(206, [{"op": "DiscoveryRequest"}], **V2)

    engine = Engine(db, script)
    run_id = engine.start()
    assert ended(engine, run_id)["status"] == "completed"


def strand(engine: Engine, run_id: str) -> None:
    """Delete a run's items, as only a bug could."""
    with engine.ctx.db.transaction() as tx:
        tx.execute(text("DELETE FROM queue_items WHERE run_id = :id"), {"id": run_id})


def test_stranded_run_is_repaired_and_counted(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(observe, "_watchers", [lambda name, fields: told.append((name, fields))])
    wait = op("WaitForEvent", "w", name="x/y", opts={"timeout": "1h"})

    def script(request: dict[str, Any], target: str) -> Reply:
        if step("w") in request["steps"]:
            return reply(200, "done")
        return reply(206, [wait], **V2)

    engine = Engine(db, script)
    begun, queued = engine.start(), engine.start()
    engine.hinted.hints = engine.hinted.hints[:1]
    engine.drain()
    told.clear()
    service = Stranded()
    service.run_once(engine.ctx)
    assert not told
    assert {engine.run(begun)["status"], engine.run(queued)["status"]} == {"running", "queued"}
    strand(engine, begun)
    strand(engine, queued)
    assert engine.stranded()
    service.run_once(engine.ctx)
    assert sorted(fields["run_id"] for _, fields in told) == sorted([begun, queued])
    assert {name for name, _ in told} == {"run.repaired"}
    assert not engine.stranded()
    service.run_once(engine.ctx)
    assert len(told) == 2
    engine.drain()
    send(engine)  # the waits have been opened again, each with an item of its own
    assert [engine.run(run)["status"] for run in (begun, queued)] == ["completed", "completed"]


def test_looks_at_live_runs_are_bounded_and_reach_all(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inngest_py.engine.upkeep.stranded._AT_ONCE", 2)
    engine = Engine(db, sequence())
    ids = sorted(engine.start() for _ in range(5))
    strand(engine, ids[4])
    service = Stranded()
    looks = 0
    while engine.stranded():
        service.run_once(engine.ctx)
        looks += 1
    assert looks == 3


def test_run_that_waits_or_is_in_flight_is_not_stranded(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    engine.start()
    [(_, item_id)] = engine.hinted.hints
    [job] = claims.claim(engine.ctx, [item_id])
    assert not engine.stranded()
    end_run.cancel(engine.ctx, job.run.id)
    run_item.run_job(engine.ctx, job)
    assert not engine.stranded()


CODES = ["StepRun", "StepPlanned", "Sleep", "WaitForEvent", "None", "DiscoveryRequest", "DeferAdd"]
CODES += ["StepError", "StepFailed", "WaitForSignal", "InvokeFunction", "Step", "RunComplete"]


def babbling(chance: random.Random) -> Script:
    """Script an app that answers with random ops of a few steps."""

    def made() -> dict[str, Any]:
        code, name = chance.choice(CODES), chance.choice("abcde")
        opts: dict[str, Any] = {"timeout": "3s", "signal": name, "function_id": "app-fn"}
        opts |= {"event": "x/y", "fn_slug": "app-fn", "input": {}}
        if chance.random() < 0.3:
            opts["parallelMode"] = "race"
        return op(code, name, name="2s", opts=opts, error={"name": "E", "message": "m"})

    def script(request: dict[str, Any], target: str) -> Reply:
        if request["event"]["name"] != "a/b" or chance.random() < 0.02:
            return reply(200, "done")
        return reply(
            206,
            [made() for _ in range(chance.choice([0, 1, 1, 2, 3]))],
            x_inngest_req_version=chance.choice("12"),
        )

    return script


@pytest.mark.parametrize("seed", range(25))
def test_no_answer_strands_a_run(db: Database, seed: int) -> None:
    """Whatever an app answers: after each drain, a run has ended or something continues it."""
    engine = Engine(db, babbling(random.Random(seed)), retries=1)
    run_id = engine.start()
    engine.drain()
    for _ in range(200):
        if engine.run(run_id)["status"] in ("completed", "failed"):
            return
        engine.advance(seconds=3)
    pytest.fail(f"still {engine.run(run_id)['status']}: {engine.queued(run_id)}")
