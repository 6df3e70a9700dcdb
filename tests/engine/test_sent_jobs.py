"""Jobs that a process keeps of the tasks it has sent: quicker than rows, and not trusted alone."""

from typing import Any

import pytest
from celery import chain, group
from sqlalchemy import text

from inngest_py.domain.canvas.interpret import Call
from inngest_py.domain.limits import RunLimits
from inngest_py.domain.steps import tasks
from inngest_py.engine.apps import task_settings
from inngest_py.engine.runtime.celery_apps import TaskMessage
from inngest_py.engine.runtime.jobs import Job
from inngest_py.engine.runtime.sent_jobs import SentJobs
from inngest_py.engine.upkeep import sent_tasks
from inngest_py.engine.work.end_run import cancel
from inngest_py.storage.db.session import Database
from tests.engine.shop import Shop, add, total


@pytest.fixture
def shop_engine(db: Database) -> Shop:
    return Shop(db)


def kept(engine: Shop, message: TaskMessage) -> tuple[Job, Call] | None:
    """Take what is kept of a task that was sent."""
    found = tasks.item_and_attempt(message.task_id)
    assert found is not None
    return engine.ctx.celery_apps.jobs.take(*found)


@pytest.mark.parametrize(
    ("signature", "is_kept"),
    [
        (add.s(1, 2), True),
        (chain(add.s(1, 2), add.s(3)), True),
        (group(add.s(1, 2), add.s(3, 4)), False),
        (chain(group(add.s(1, 2)), add.s(3, 4), group(add.s(1), add.s(2)), total.s()), False),
        (add.s(1, 2).set(link=add.s(3)), False),
    ],
)
def test_only_what_no_other_task_of_the_run_changes_is_kept(
    shop_engine: Shop, signature: Any, is_kept: bool
) -> None:
    shop_engine.send(signature)
    assert {kept(shop_engine, message) is not None for message in shop_engine.take()} == {is_kept}


def test_jobs_of_runs_with_limits_are_not_kept(shop_engine: Shop) -> None:
    shop_engine.limit("shop.add", 1)
    shop_engine.send(add.s(1, 2))
    [message] = shop_engine.take()
    assert kept(shop_engine, message) is None


def test_next_task_of_a_chain_is_kept_with_what_the_run_has_by_then(shop_engine: Shop) -> None:
    shop_engine.send(chain(add.s(1, 2), add.s(3), add.s(4)))
    [message] = shop_engine.take()
    shop_engine.answer(message)
    [message] = shop_engine.take()
    found = kept(shop_engine, message)
    assert found is not None
    run, call = found[0].run, found[1]
    assert (run.step_count, run.state_bytes, call.args) == (1, len('{"data":3}'), [3, 3])


def test_a_task_that_gets_a_large_result_is_not_kept(shop_engine: Shop) -> None:
    shop_engine.send(chain(add.s(1, 2), add.s(3)))
    [message] = shop_engine.take()
    shop_engine.answer(message, value="x" * 9_000)
    [message] = shop_engine.take()
    assert kept(shop_engine, message) is None


def test_state_of_a_chain_is_limited_by_all_its_results(shop_engine: Shop) -> None:
    run_id = shop_engine.send(chain(add.s(1, 2), add.s(3), add.s(4)))
    function_id = shop_engine.run(run_id)["function_id"]
    shop_engine.ctx.run_limits[function_id] = RunLimits(state_bytes=30)
    run_id = shop_engine.send(chain(add.s(1, 2), add.s(3), add.s(4)))
    _, message = shop_engine.take()
    shop_engine.answer(message, value="x" * 10)
    [message] = shop_engine.take()
    shop_engine.answer(message, value="y" * 10)
    assert "state size limit of 30 bytes" in shop_engine.run(run_id)["output"]


@pytest.mark.parametrize("together", [False, True])
def test_answer_counts_when_another_process_has_leased_the_item_since(
    shop_engine: Shop, together: bool
) -> None:
    """It has found the lease lapsed, and has sent the same attempt again."""
    ids = [shop_engine.send(add.s(1, 2)) for _ in range(1 + together)]
    messages = shop_engine.take()
    sent_tasks.run_once(shop_engine.ctx)
    with shop_engine.ctx.db.transaction() as tx:
        new = text("UPDATE queue_items SET lease_id = 'another' WHERE run_id = :run")
        tx.execute(new, {"run": ids[0]})
    shop_engine.answer(*messages)
    assert [shop_engine.run(run_id)["status"] for run_id in ids] == ["completed"] * len(ids)


def test_answer_of_a_run_that_was_cancelled_changes_nothing(
    shop_engine: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = shop_engine.send(chain(add.s(1, 2), add.s(3)))
    [message] = shop_engine.take()
    cancel(shop_engine.ctx, run_id)
    shop_engine.answer(message)
    assert shop_engine.take() == []
    assert shop_engine.run(run_id)["status"] == "cancelled"
    assert not [one for one in caplog.records if one.levelno >= 30]


def test_chain_goes_on_with_settings_of_now(shop_engine: Shop) -> None:
    shop_engine.send(chain(add.s(1, 2), add.s(3)))
    [message] = shop_engine.take()
    task_settings.configure(shop_engine.ctx, "shop", "celery.canvas", {"queue": "slow"})
    shop_engine.ctx.catalog.looked_at = float("-inf")  # five seconds are over
    shop_engine.answer(message)
    [message] = shop_engine.take()
    assert message.options["queue"] == "slow"


def test_the_newest_jobs_are_kept_and_each_attempt_is_taken_once(shop_engine: Shop) -> None:
    shop_engine.send(add.s(1, 2))
    found = kept(shop_engine, shop_engine.take()[0])
    assert found is not None
    jobs, (job, call) = SentJobs(most=1), found
    jobs.keep(job, call)
    assert jobs.take(job.item.id, 1) is None
    jobs.keep(job, call)
    assert jobs.take(job.item.id, 0) == found
    assert jobs.take(job.item.id, 0) is None
    shop_engine.send(add.s(3, 4))
    other = kept(shop_engine, shop_engine.take()[0])
    assert other is not None
    jobs.keep(*found)
    jobs.keep(*other)
    assert jobs.take(job.item.id, 0) is None
    assert jobs.take(other[0].item.id, 0) == other
