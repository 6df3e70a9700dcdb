"""Races: a run goes on when the first of its racing steps has ended, and the others end later."""

from typing import Any

from inngest_py.domain.reply.read import Reply
from inngest_py.storage.db.session import Database
from tests.engine.harness import Engine, Script
from tests.engine.waiting import for_event, send
from tests.factories import op, reply, step

_RACE = {"parallelMode": "race"}
_HEADERS = {"x_inngest_req_version": "2"}


def racing(ran: list[str], during: dict[str, Any], *after: str) -> Script:
    """Script a race of two waits, and then steps; `during` is done while a step runs."""

    def run(name: str) -> Reply:
        ran.append(name)
        during.pop(name, lambda: None)()
        return reply(206, [op("StepRun", name, data=name)], **_HEADERS)

    def script(request: dict[str, Any], target: str) -> Reply:
        done = request["steps"]
        for name in after:
            if target == step(name):
                return run(name)
        if step("v") not in done:
            ops = [for_event("v", "x/v", **_RACE), for_event("w", **_RACE)]
            return reply(206, ops, **_HEADERS)
        left = [name for name in after if step(name) not in done]
        if not left:
            return reply(200, after)
        if request["ctx"]["disable_immediate_execution"]:
            return reply(206, [op("StepPlanned", left[0])], **_HEADERS)
        return run(left[0])

    return script


def test_loser_that_ends_while_the_next_step_runs_does_not_double_it(db: Database) -> None:
    ran: list[str] = []
    during: dict[str, Any] = {"a": lambda: send(engine)}
    engine = Engine(db, racing(ran, during, "a", "b", "c"))
    run_id = engine.start()
    engine.drain()
    send(engine, "x/v")
    assert engine.run(run_id)["status"] == "completed"
    assert ran == ["a", "b", "c"]


def test_loser_that_ends_during_a_later_group_does_not_double_what_follows(db: Database) -> None:
    """The group of the steps `a` and `b` does not make the run forget the loser."""
    ran: list[str] = []
    during: dict[str, Any] = {"c": lambda: send(engine)}
    plain = racing(ran, during, "a", "b", "c", "d")

    def script(request: dict[str, Any], target: str) -> Reply:
        done = request["steps"]
        left = [name for name in ("a", "b") if step(name) not in done]
        if target == "step" and step("v") in done and left:
            return reply(206, [op("StepPlanned", name) for name in left], **_HEADERS)
        return plain(request, target)

    engine = Engine(db, script)
    run_id = engine.start()
    engine.drain()
    send(engine, "x/v")
    assert engine.run(run_id)["status"] == "completed"
    assert sorted(ran) == ["a", "b", "c", "d"]
