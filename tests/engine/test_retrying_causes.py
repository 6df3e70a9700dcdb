"""Why runs are tried again: by the causes under which they would be counted if they failed."""

from datetime import timedelta
from typing import Any

import pytest

from inngest_py.domain.reply.read import Reply
from inngest_py.domain.reports.error_groups import ErrorState
from inngest_py.engine.admin import error_states
from inngest_py.engine.upkeep.errors import grouping
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries.errors import retrying
from inngest_py.storage.queries.errors.retrying import Retrying
from tests.engine.harness import Engine
from tests.engine.test_error_groups import ANN, fail, fails
from tests.factories import op, reply


def causes(engine: Engine, **options: Any) -> Retrying:
    with engine.ctx.db.reading() as tx:
        return retrying.now_retrying(tx, engine.now, **options)


def begin(engine: Engine, *numbers: int) -> list[str]:
    """Start runs and let their first attempts fail."""
    started = []
    for n in numbers:
        engine.now += timedelta(milliseconds=1)
        started.append(engine.start(data={"n": n}))
    engine.drain()
    return started


def test_retrying_runs_are_counted_by_cause(db: Database) -> None:
    engine = Engine(db, fails())
    assert causes(engine) == retrying.NOTHING
    begin(engine, 1, 2)
    engine.sdk.script = fails("no route to host", name="ConnectionError")
    [alone] = begin(engine, 3)
    many, one = causes(engine).causes
    assert (many.runs, many.failure.name, many.failure.message) == (
        2,
        "OutOfStock",
        "order 2 is gone",
    )
    assert (one.runs, one.failure.name, one.latest.id) == (1, "ConnectionError", alone)
    assert (one.latest.function_slug, one.latest.app_name) == ("app-fn", "app")
    assert engine.now < one.next_at < engine.now + timedelta(minutes=1)
    assert not causes(engine).more
    bounded = causes(engine, most=2)
    assert bounded.more
    assert sum(cause.runs for cause in bounded.causes) == 2
    assert causes(engine, function_ids=["nobody"]) == retrying.NOTHING


def test_the_cause_is_the_error_group_of_runs_that_then_fail(db: Database) -> None:
    engine = Engine(db, fails())
    fail(engine, 1)
    begin(engine, 2)
    [cause] = causes(engine).causes
    with db.reading() as tx:
        from_group = retrying.groups.page(
            tx, retrying.groups.ErrorQuery(), engine.now, retrying.groups.ORDERS["runs"], first=9
        ).rows
    assert [row["id"] for row in from_group] == [cause.error_id]
    assert causes(engine).states == {cause.error_id: ErrorState.OPEN}
    assert causes(engine).unmuted() == [cause]
    until = engine.now + timedelta(hours=1)
    error_states.change(engine.ctx, cause.error_id, ErrorState.MUTED, ANN, until)
    assert causes(engine).unmuted() == []
    with db.reading() as tx:
        later = retrying.now_retrying(tx, until + timedelta(seconds=1))
    assert later.unmuted() == [cause]


def retried_step(request: dict[str, Any], target: str) -> Reply:
    """Fail in a step that is tried again, and let the function raise its error at the end."""
    n = request["event"]["data"]["n"]
    error = {"name": "OutOfStock", "message": f"no {n} left"}
    if not request["steps"]:
        return reply(206, [op("StepError", f"reserve-{n}", error=error)])
    raised = {"code": "step_errored", "name": "StepError", "message": f"no {n} left"}
    return reply(500, raised, x_inngest_no_retry="true")


def test_a_steps_cause_is_the_group_of_its_function_that_raises_it(db: Database) -> None:
    engine = Engine(db, retried_step)
    begin(engine, 7)
    [cause] = causes(engine).causes
    assert (cause.failure.step, cause.failure.name) == ("reserve", "OutOfStock")
    for _ in range(4):
        engine.advance(minutes=10)
    grouping.group(engine.ctx)
    assert causes(engine) == retrying.NOTHING
    with db.reading() as tx:
        assert retrying.groups.get(tx, cause.error_id, engine.now) is not None


@pytest.mark.parametrize("attempt_ends", ["completed", "failed"])
def test_runs_that_are_tried_no_more_are_left_out(db: Database, attempt_ends: str) -> None:
    engine = Engine(db, fails())
    [run_id] = begin(engine, 1)
    if attempt_ends == "completed":
        engine.sdk.script = lambda request, target: reply(200, {})
    for _ in range(4):
        engine.advance(minutes=10)
    assert engine.run(run_id)["status"] == attempt_ends
    assert causes(engine) == retrying.NOTHING
