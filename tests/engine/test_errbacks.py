"""The errbacks of tasks that have failed for good: called once, before their run fails."""

from typing import Any

import pytest
from celery import chain, group

from inngest_py.domain.values import canonical
from inngest_py.engine.apps import task_settings
from inngest_py.engine.runtime.celery_apps import TaskMessage
from inngest_py.engine.upkeep import celery_watch, sent_tasks
from inngest_py.storage.db.session import Database
from tests.engine.shop import Shop, add, total


@pytest.fixture
def shop_engine(db: Database) -> Shop:
    return Shop(db)


def error_of(engine: Shop, run_id: str) -> dict[str, Any]:
    run = engine.run(run_id)
    assert run["status"] == "failed"
    found: dict[str, Any] = canonical.loads(run["output"])["error"]
    return found


def failed(engine: Shop, signature: Any) -> tuple[str, TaskMessage, list[TaskMessage]]:
    """Fail the first task of a canvas; return the run, the task, and what is sent then."""
    run_id = engine.send(signature)
    task = engine.take()[0]
    engine.fail(task, "card refused")
    return run_id, task, engine.take()


def test_errback_is_a_step_that_gets_the_id_of_the_failed_task(shop_engine: Shop) -> None:
    run_id, task, [errback] = failed(shop_engine, add.s(1, 2).on_error(total.s("x")))
    assert (errback.name, errback.args) == ("shop.total", [task.task_id, "x"])
    assert shop_engine.run(run_id)["status"] == "running"
    shop_engine.answer(errback, value=None)
    assert error_of(shop_engine, run_id)["message"] == "card refused"
    assert shop_engine.tried(run_id) == [
        ("add", "failed", 0),
        ("total after add failed", "completed", 0),
        ("Finalization", "failed", 0),
    ]
    assert shop_engine.queued(run_id) == []


def test_errback_that_fails_changes_nothing_of_the_runs_error(shop_engine: Shop) -> None:
    errbacks = [total.s("x"), chain(add.si(1, 1), add.s(2))]
    run_id, _, [one, two] = failed(shop_engine, add.s(1, 2).set(link_error=errbacks))
    shop_engine.fail(one, "no mail")
    shop_engine.answer(two)
    [last] = shop_engine.take()
    assert shop_engine.run(run_id)["status"] == "running"
    shop_engine.fail(last, "neither")
    assert error_of(shop_engine, run_id)["message"] == "card refused"


def test_first_failure_stops_the_canvas_and_calls_a_chords_errback_once(shop_engine: Shop) -> None:
    header = group([chain(add.s(n, n), add.s(1)) for n in range(3)])
    run_id = shop_engine.send(chain(header, total.s().on_error(add.si(7, 7))))
    one, two, three = shop_engine.take()
    sent_tasks.run_once(shop_engine.ctx)
    shop_engine.fail(one)
    [errback] = shop_engine.take()
    shop_engine.answer(two)
    shop_engine.fail(three, "late")
    assert shop_engine.take() == []
    shop_engine.answer(errback)
    assert error_of(shop_engine, run_id)["message"] == "no"
    assert sorted(revoked(shop_engine)) == sorted([two.task_id, three.task_id])


@pytest.mark.parametrize("limited", [False, True])
def test_failures_at_one_moment_call_the_errback_once(shop_engine: Shop, limited: bool) -> None:
    if limited:
        shop_engine.limit("celery.canvas", 5)
    body = total.s().on_error(add.si(7, 7))
    run_id = shop_engine.send(chain(group([add.s(n, n) for n in range(3)]), body))
    header = shop_engine.take()
    sent_tasks.run_once(shop_engine.ctx)
    shop_engine.answer(header[0])
    shop_engine.fail_together(header[1:])
    [errback] = shop_engine.take()
    shop_engine.answer(errback)
    assert error_of(shop_engine, run_id)
    assert shop_engine.queued(run_id) == []


def test_function_retries_come_before_the_errback(shop_engine: Shop) -> None:
    task_settings.configure(shop_engine.ctx, "shop", "shop.add", {"retries": 1})
    run_id, _, sent = failed(shop_engine, add.s(1, 2).on_error(total.si([5])))
    assert sent == []
    shop_engine.advance(seconds=600)
    [again] = shop_engine.take()
    shop_engine.fail(again, "again")
    [errback] = shop_engine.take()
    shop_engine.answer(errback)
    assert error_of(shop_engine, run_id)["message"] == "again"


def test_lost_errback_is_sent_again(shop_engine: Shop) -> None:
    run_id, _, [first] = failed(shop_engine, add.s(1, 2).on_error(total.si([5])))
    shop_engine.ctx.celery_apps.forget_sent([shop_engine.queued(run_id)[0]["id"]])
    shop_engine.lapse()
    [second] = shop_engine.take()
    assert second.task_id == first.task_id
    shop_engine.answer(first)
    shop_engine.answer(second)
    assert error_of(shop_engine, run_id)["message"] == "card refused"


def test_errbacks_of_an_errback_and_its_links_end_the_run_too(shop_engine: Shop) -> None:
    inner = chain(add.si(1, 1).set(link=[add.s(5)]), add.s(2)).on_error(total.si([9]))
    run_id, _, [first] = failed(shop_engine, add.s(1, 2).on_error(inner))
    shop_engine.fail(first, "inner")
    [deepest] = shop_engine.take()
    assert deepest.name == "shop.total"
    shop_engine.answer(deepest)
    assert error_of(shop_engine, run_id)["message"] == "card refused"


def revoked(engine: Shop) -> list[str]:
    names: list[str] = []
    celery_watch.revoke(engine.ctx, engine.app_id, lambda found, _: names.extend(found))
    return names
