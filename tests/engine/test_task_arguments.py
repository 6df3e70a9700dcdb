"""What the tasks of a stored run were called with, as pages show it, on both databases."""

from typing import Any

import pytest
from celery import chain, group

from inngest_py.domain.runs.rerun import from_step
from inngest_py.domain.steps import tasks
from inngest_py.engine.admin.rerun import rerun
from inngest_py.engine.apps import task_settings, workflows
from inngest_py.engine.work.celery_tasks.run_canvases import arguments
from inngest_py.storage.db.session import Database
from tests.engine.shop import Shop, add, total


@pytest.fixture
def engine(db: Database) -> Shop:
    return Shop(db)


def _given(engine: Shop, run_id: str, path: str) -> Any:
    with engine.ctx.db.reading() as tx:
        return arguments(tx, engine.ctx, run_id, tasks.step_of(path))


def _sent(*args: object, **kwargs: object) -> object:
    return {"args": list(args), "kwargs": kwargs}


def test_each_task_of_a_canvas_has_its_own(engine: Shop) -> None:
    header = group(add.s(10), add.s(20))
    run_id = engine.send(chain(add.s(1, b=2**60), header, total.s().on_error(total.si([1]))))
    assert _given(engine, run_id, "0") == _sent(1, b=2**60)
    assert _given(engine, run_id, "1.0") is None  # what comes before has not ended
    engine.answer(*engine.take(), value=3)
    one, two = engine.take()
    engine.answer(two)
    engine.fail(one)
    assert _given(engine, run_id, "0") == _sent(1, b=2**60)
    assert _given(engine, run_id, "1.0") == _sent(3, 10)
    assert _given(engine, run_id, "1.1") == _sent(3, 20)
    assert _given(engine, run_id, "2") is None
    again = rerun(engine.ctx, run_id, from_step(tasks.step_of("1.0"), {"args": [5, 6]}))
    engine.drain()
    engine.finish()
    assert _given(engine, again, "1.0") == _sent(5, 6)
    assert _given(engine, again, "1.1") == _sent(3, 20)
    assert _given(engine, again, "2") == _sent([11, 23])


def test_failed_task_with_an_errback_has_its_own(engine: Shop) -> None:
    run_id = engine.send(chain(add.s(1, 2), total.s().on_error(add.si(1, 1))))
    engine.answer(*engine.take())
    [second] = engine.take()
    engine.fail(second)
    assert engine.run(run_id)["status"] == "running"
    assert _given(engine, run_id, "1") == _sent(3)
    engine.finish()
    assert _given(engine, run_id, "1") == _sent(3)
    assert _given(engine, run_id, "1!0") is None


def test_settings_of_now_do_not_tell_what_an_earlier_run_got(engine: Shop) -> None:
    changes = {"on": [{"event": "a/x"}], "args": "[event.data.a, 1]"}
    task_settings.configure(engine.ctx, "shop", "shop.add", changes)
    run_id = engine.start(name="a/x", data={"a": 7})
    engine.drain()
    assert _given(engine, run_id, "0") == _sent(7, 1)
    task_settings.configure(engine.ctx, "shop", "shop.add", {"args": "[event.data.a, 2]"})
    assert _given(engine, run_id, "0") is None


def test_steps_of_a_workflow_have_what_their_expressions_gave(engine: Shop) -> None:
    entries = [
        {"task": "shop.add", "args": "[event.data.a, 2]"},
        {"task": "shop.add", "name": "more", "args": "[result, steps.add]", "when": "false"},
        {"task": "shop.add", "name": "last", "args": "[steps.add, 5]"},
    ]
    changes = {"tasks": entries, "on": [{"event": "shop/flow"}]}
    workflows.configure(engine.ctx, "shop", "flow", changes)
    run_id = engine.start(name="shop/flow", data={"a": 1})
    engine.drain()
    engine.finish()
    assert engine.run(run_id)["status"] == "completed"
    workflows.configure(engine.ctx, "shop", "flow", {"tasks": ["shop.total"]})
    assert _given(engine, run_id, "0") == _sent(1, 2)
    assert _given(engine, run_id, "1") is None
    assert _given(engine, run_id, "2") == _sent(3, 5)


def test_other_runs_and_steps_have_none(engine: Shop) -> None:
    run_id = engine.send(add.s(1, 2))
    assert _given(engine, run_id, "7") is None
    assert _given(engine, "01K00000000000000000000000", "0") is None
