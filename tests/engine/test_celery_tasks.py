"""Tasks and canvases of a Celery app through the engine, on both databases, without a broker."""

from datetime import timedelta
from typing import Any

import pytest
from celery import chain, group
from sqlalchemy import event

from inngest_py.domain.errors import Invalid
from inngest_py.domain.runs.rerun import FromStep, from_step
from inngest_py.domain.steps import tasks
from inngest_py.domain.values import canonical
from inngest_py.engine.admin.rerun import rerun
from inngest_py.engine.apps import celery_apps, task_settings
from inngest_py.engine.upkeep import sent_tasks
from inngest_py.engine.work.celery_tasks import canvases
from inngest_py.engine.work.celery_tasks.task_answers import TaskAnswer, apply_answers
from inngest_py.engine.work.end_run import cancel
from inngest_py.storage.db.session import Database
from tests.engine.shop import Shop, add, total


@pytest.fixture
def shop_engine(db: Database) -> Shop:
    return Shop(db)


def test_single_task_is_one_message_and_its_result_ends_the_run(shop_engine: Shop) -> None:
    run_id = shop_engine.send(add.s(1, 2))
    [message] = shop_engine.take()
    assert (message.name, message.args, message.kwargs) == ("shop.add", [1, 2], {})
    assert shop_engine.run(run_id)["status"] == "running"
    shop_engine.answer(message)
    run = shop_engine.run(run_id)
    assert (run["status"], canonical.loads(run["output"])) == ("completed", 3)
    assert shop_engine.queued(run_id) == []
    assert shop_engine.tried(run_id) == [("add", "completed", 0), ("Finalization", "completed", 0)]


@pytest.mark.parametrize(
    "signature",
    [
        add.s(1, 2).set(link=add.s(3)),
        add.s(1, 2).set(expires=60),
        chain(add.s(1, 2), add.s(3)),
        chain(group(add.s(1, 2), add.s(3, 4)), total.s()),
    ],
)
def test_canvas_under_a_throttle_runs(shop_engine: Shop, signature: Any) -> None:
    """A throttle marks the first item of a run that it has let in."""
    for task in ("shop.add", "celery.canvas"):
        settings = {"throttle": {"limit": 1, "period": "1m"}}
        task_settings.configure(shop_engine.ctx, "shop", task, settings)
    run_id = shop_engine.send(signature)
    shop_engine.finish()
    assert shop_engine.run(run_id)["status"] == "completed"


@pytest.mark.parametrize("written", [False, True])
def test_answer_counts_before_and_after_its_sending_is_written(
    shop_engine: Shop, written: bool
) -> None:
    run_id = shop_engine.send(add.s(1, 2))
    [message] = shop_engine.take()
    if written:
        sent_tasks.run_once(shop_engine.ctx)
    shop_engine.answer(message)
    assert shop_engine.run(run_id)["status"] == "completed"
    assert not sent_tasks.run_once(shop_engine.ctx)


def test_written_task_is_leased_to_its_app_without_heartbeats(shop_engine: Shop) -> None:
    run_id = shop_engine.send(add.s(1, 2))
    sent_tasks.run_once(shop_engine.ctx)
    [item] = shop_engine.queued(run_id)
    assert (item["state"], item["worker"]) == ("leased", f"celery:{shop_engine.app_id}")
    assert item["lease_until"] > shop_engine.now + timedelta(days=300)
    assert len(shop_engine.ctx.leases) == 0


def test_chain_puts_each_result_before_the_next_arguments(shop_engine: Shop) -> None:
    run_id = shop_engine.send(chain(add.s(1, 2), add.s(10), add.s(100)))
    seen = []
    while found := shop_engine.take():
        seen += [message.args for message in found]
        shop_engine.answer(*found)
    assert seen == [[1, 2], [3, 10], [13, 100]]
    assert canonical.loads(shop_engine.run(run_id)["output"]) == 113


def test_body_of_a_chord_starts_once_after_the_last_of_200(shop_engine: Shop) -> None:
    run_id = shop_engine.send(chain(group([add.s(n, n) for n in range(200)]), total.s()))
    header = shop_engine.take()
    assert len(header) == 200
    for start in range(199, -1, -50):
        part = header[max(0, start - 49) : start + 1]
        assert shop_engine.take() == []
        shop_engine.answer(*part)
    [body] = shop_engine.take()
    assert body.args == [[2 * n for n in range(200)]]
    shop_engine.answer(body)
    assert canonical.loads(shop_engine.run(run_id)["output"]) == 200 * 199


def test_answers_in_one_transaction_and_apart_give_the_same(shop_engine: Shop) -> None:
    """One of the answers is void, so that the shared transaction is rolled back."""
    first, second = shop_engine.send(add.s(1, 1)), shop_engine.send(add.s(2, 2))
    one, two = shop_engine.take()
    assert cancel(shop_engine.ctx, first) is not None
    shop_engine.answer(one, two)
    assert shop_engine.run(first)["status"] == "cancelled"
    assert shop_engine.run(second)["status"] == "completed"


def test_second_answer_changes_nothing(shop_engine: Shop) -> None:
    run_id = shop_engine.send(chain(add.s(1, 2), add.s(10)))
    [message] = shop_engine.take()
    shop_engine.answer(message)
    shop_engine.answer(message)
    shop_engine.answer(message, value=99)
    [following] = shop_engine.take()
    assert following.args == [3, 10]
    shop_engine.answer(following)
    assert canonical.loads(shop_engine.run(run_id)["output"]) == 13


def test_forged_answer_changes_nothing(shop_engine: Shop) -> None:
    run_id = shop_engine.send(add.s(1, 2))
    [message] = shop_engine.take()
    head = message.token.rpartition(":")[0]
    for token in (head, f"{head}:", f"{head}:{'0' * 32}", "", message.token.replace(":0:", ":1:")):
        apply_answers(shop_engine.ctx, [TaskAnswer(shop_engine.app(), token, False, 99)])
    assert shop_engine.run(run_id)["status"] == "running"
    shop_engine.answer(message)
    assert canonical.loads(shop_engine.run(run_id)["output"]) == 3


def test_failed_task_fails_its_run_with_the_reason(shop_engine: Shop) -> None:
    run_id = shop_engine.send(chain(add.s(1, 2), add.s(10)))
    [message] = shop_engine.take()
    shop_engine.fail(message, "card refused")
    run = shop_engine.run(run_id)
    error = canonical.loads(run["output"])["error"]
    assert (run["status"], error["name"], error["message"]) == (
        "failed",
        "ValueError",
        "card refused",
    )
    assert shop_engine.tried(run_id)[0] == ("add [1/2]", "failed", 0)
    assert shop_engine.take() == []


def test_failure_waits_for_its_reason_and_then_does_without(shop_engine: Shop) -> None:
    run_id = shop_engine.send(add.s(1, 2))
    [message] = shop_engine.take()
    [later] = shop_engine.answer(message, failed=True)
    assert shop_engine.run(run_id)["status"] == "running"
    later.reason_wanted = False
    assert apply_answers(shop_engine.ctx, [later]) == []
    error = canonical.loads(shop_engine.run(run_id)["output"])["error"]
    assert error["name"] == "TaskFailed"


def test_retry_has_a_new_task_id_and_refuses_the_old_answer(shop_engine: Shop) -> None:
    task_settings.configure(shop_engine.ctx, "shop", "shop.add", {"retries": 2})
    run_id = shop_engine.send(add.s(1, 2))
    [first] = shop_engine.take()
    shop_engine.fail(first)
    shop_engine.advance(seconds=600)
    [second] = shop_engine.take()
    assert second.task_id != first.task_id
    shop_engine.answer(first, value=99)
    assert shop_engine.run(run_id)["status"] == "running"
    shop_engine.answer(second)
    assert canonical.loads(shop_engine.run(run_id)["output"]) == 3
    names = [(name, status) for name, status, _ in shop_engine.tried(run_id)]
    assert names[:2] == [("add", "errored"), ("add", "completed")]


def test_broker_that_is_away_costs_no_attempt(shop_engine: Shop) -> None:
    shop_engine.brokers.away = True
    run_id = shop_engine.send(add.s(1, 2))
    shop_engine.look_at_lines()
    assert shop_engine.take() == []
    shop_engine.brokers.away = False
    shop_engine.look_at_lines()
    [message] = shop_engine.take()
    assert message.task_id.endswith("-0")
    shop_engine.answer(message)
    assert shop_engine.run(run_id)["status"] == "completed"


def test_events_start_a_task_with_arguments_of_expressions(shop_engine: Shop) -> None:
    task_settings.configure(
        shop_engine.ctx,
        "shop",
        "shop.add",
        {
            "on": [{"event": "shop/order"}],
            "args": "[event.data.a]",
            "kwargs": '{"b": event.data.b}',
        },
    )
    run_id = shop_engine.start(name="shop/order", data={"a": 1, "b": 2})
    shop_engine.drain()
    [message] = shop_engine.take()
    assert (message.args, message.kwargs) == ([1], {"b": 2})
    shop_engine.answer(message, value=3)
    assert shop_engine.run(run_id)["status"] == "completed"


@pytest.mark.parametrize(
    ("args", "data", "wanted"),
    [
        ("event.data.a", {"a": 1}, "args"),
        ("[int(event.data.a)]", {"a": "x"}, "args"),
        ("event.data.missing", {}, "args"),
    ],
)
def test_expression_that_fails_fails_the_run_and_is_named(
    shop_engine: Shop, args: str, data: dict[str, Any], wanted: str
) -> None:
    task_settings.configure(
        shop_engine.ctx, "shop", "shop.add", {"on": [{"event": "a/x"}], "args": args}
    )
    run_id = shop_engine.start(name="a/x", data=data)
    shop_engine.drain()
    run = shop_engine.run(run_id)
    assert run["status"] == "failed"
    message = canonical.loads(run["output"])["error"]["message"]
    assert args in message
    assert wanted in message


def test_expression_is_checked_when_it_is_set(shop_engine: Shop) -> None:
    with pytest.raises(Invalid, match="args"):
        task_settings.configure(shop_engine.ctx, "shop", "shop.add", {"args": "["})


def test_countdown_is_a_row(shop_engine: Shop) -> None:
    run_id = shop_engine.send(add.s(1, 2).set(countdown=60))
    assert shop_engine.take() == []
    shop_engine.advance(seconds=59)
    assert shop_engine.take() == []
    shop_engine.advance(seconds=2)
    shop_engine.finish()
    assert shop_engine.run(run_id)["status"] == "completed"


def test_concurrency_counts_tasks_until_they_are_answered(shop_engine: Shop) -> None:
    shop_engine.limit("shop.add", 2)
    runs = [shop_engine.send(add.s(n, n)) for n in range(4)]
    sent_tasks.run_once(shop_engine.ctx)
    first = shop_engine.take()
    assert len(first) == 2
    shop_engine.now += timedelta(minutes=10)
    shop_engine.lapse()
    assert shop_engine.take() == []
    shop_engine.answer(first[0])
    [third] = shop_engine.take()
    shop_engine.answer(first[1], third)
    shop_engine.finish()
    assert {shop_engine.run(run_id)["status"] for run_id in runs} == {"completed"}


def _again(shop_engine: Shop, run_id: str, step: FromStep) -> str:
    again = rerun(shop_engine.ctx, run_id, step)
    shop_engine.drain()
    return again


def test_rerun_from_a_failed_step_takes_the_results_before_it(shop_engine: Shop) -> None:
    header = group(add.s(10), add.s(20))
    run_id = shop_engine.send(chain(add.s(1, 2), header, total.s(), add.s(5)))
    shop_engine.answer(*shop_engine.take())
    first, second = shop_engine.take()
    shop_engine.answer(second)
    shop_engine.fail(first)
    assert shop_engine.run(run_id)["status"] == "failed"
    again = _again(shop_engine, run_id, FromStep(tasks.step_of("1.0")))
    [message] = shop_engine.take()
    assert (message.name, message.args) == ("shop.add", [3, 10])
    shop_engine.answer(message)
    [body] = shop_engine.take()
    assert (body.name, body.args) == ("shop.total", [[13, 23]])
    shop_engine.answer(body)
    shop_engine.finish()
    run = shop_engine.run(again)
    assert (run["status"], canonical.loads(run["output"])) == ("completed", 41)


def test_rerun_from_a_step_that_succeeded_repeats_what_follows(shop_engine: Shop) -> None:
    run_id = shop_engine.send(chain(add.s(1, 2), add.s(10), add.s(100)))
    shop_engine.finish()
    again = _again(shop_engine, run_id, from_step(tasks.step_of("1"), [7, 8]))
    seen = []
    while found := shop_engine.take():
        seen += [message.args for message in found]
        shop_engine.answer(*found)
    assert seen == [[7, 8], [15, 100]]
    assert canonical.loads(shop_engine.run(again)["output"]) == 115


def test_rerun_keeps_what_does_not_follow_from_its_step(shop_engine: Shop) -> None:
    """The other branch ended after the step, and a failed sibling's error is no result."""
    header = group([chain(add.s(1, 1), add.s(2)), add.s(5, 5), add.s(6, 6)])
    run_id = shop_engine.send(chain(header, total.s().on_error(total.si([1]))))
    one, two, three = shop_engine.take()
    shop_engine.answer(one)
    shop_engine.answer(two)
    shop_engine.take()
    shop_engine.fail(three)
    shop_engine.finish()
    _again(shop_engine, run_id, FromStep(tasks.step_of("0.0.0")))
    assert sorted(message.args for message in shop_engine.take()) == [[1, 1], [6, 6]]
    with pytest.raises(Invalid, match="errback"):
        _again(shop_engine, run_id, FromStep(tasks.step_of("0.2!0")))


def test_rerun_from_a_task_with_new_keyword_arguments(shop_engine: Shop) -> None:
    run_id = shop_engine.send(chain(add.s(1, b=2), add.s(10)))
    shop_engine.finish()
    for given, args, kwargs in (
        ({"kwargs": {"b": 5}}, [1], {"b": 5}),
        ({"args": [7]}, [7], {"b": 2}),
        ({"args": [], "kwargs": {"a": 1, "b": 1}}, [], {"a": 1, "b": 1}),
        ([9, 9], [9, 9], {"b": 2}),
    ):
        again = _again(shop_engine, run_id, from_step(tasks.step_of("0"), given))
        [message] = shop_engine.take()
        assert (message.args, message.kwargs) == (args, kwargs)
        shop_engine.answer(message, value=3)
        shop_engine.finish()
        assert canonical.loads(shop_engine.run(again)["output"]) == 13


def test_rerun_from_the_only_task_has_new_arguments(shop_engine: Shop) -> None:
    run_id = shop_engine.send(add.s(1, 2))
    shop_engine.finish()
    again = _again(shop_engine, run_id, from_step(tasks.step_of("0"), [3, 4]))
    [message] = shop_engine.take()
    assert message.args == [3, 4]
    shop_engine.answer(message)
    assert canonical.loads(shop_engine.run(again)["output"]) == 7


def test_large_canvases_are_not_all_kept_in_memory(
    shop_engine: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canvases, "_canvases", canvases._Canvases())
    monkeypatch.setattr(canvases, "_MOST_CHARS", 30_000)
    large = chain(group([add.s(n, n) for n in range(100)]), total.s())  # about 14,000 characters
    runs = [shop_engine.send(large) for _ in range(5)]
    shop_engine.finish()
    outputs = [canonical.loads(shop_engine.run(run_id)["output"]) for run_id in runs]
    assert outputs == [9900] * 5
    assert 1 <= len(canvases._canvases._read) <= 2


def test_broker_that_is_away_is_logged_once_for_each_outage(
    shop_engine: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    for outages in (1, 2):
        shop_engine.brokers.away = True
        runs = [shop_engine.send(add.s(1, 2)) for _ in range(3)]
        told = [record for record in caplog.records if record.msg == "celery.away"]
        assert len(told) == outages
        shop_engine.brokers.away = False
        shop_engine.look_at_lines()
        shop_engine.finish()
        assert {shop_engine.run(run_id)["status"] for run_id in runs} == {"completed"}


def test_finding_many_tasks_reads_the_functions_a_few_times(shop_engine: Shop) -> None:
    reads: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM functions" in statement:
            reads.append(statement)

    names = [f"shop.many_{number}" for number in range(100)]
    event.listen(shop_engine.ctx.db.engine, "before_cursor_execute", note)
    assert len(celery_apps.register_tasks(shop_engine.ctx, shop_engine.app_id, names)) == 100
    assert len(reads) <= 3
    assert celery_apps.register_tasks(shop_engine.ctx, shop_engine.app_id, names) == []
