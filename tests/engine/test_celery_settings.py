"""Settings of tasks through the engine: they last, and each trigger gives its own arguments."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from celery import chain

from inngest_py.domain.functions.function_config import FunctionConfig, config_from_json
from inngest_py.domain.values import canonical
from inngest_py.engine.apps import celery_apps, task_settings
from inngest_py.engine.intake import publish
from inngest_py.engine.upkeep import cron_ticks, sent_tasks
from inngest_py.engine.work.celery_tasks.unanswered_tasks import end_lost
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import function_list
from tests.engine.harness import Engine, sequence
from tests.engine.shop import Shop, add
from tests.engine.shop import total as total_of


@pytest.fixture
def shop_engine(db: Database) -> Shop:
    return Shop(db)


def configure(shop_engine: Shop, **settings: object) -> None:
    task_settings.configure(shop_engine.ctx, "shop", "shop.add", settings)


def config_of(shop_engine: Shop) -> FunctionConfig:
    with shop_engine.ctx.db.reading() as tx:
        rows = function_list.every(tx, app_id=shop_engine.app_id, archived=False)
    [found] = [row["config"] for row in rows if row["slug"] == "shop-shop.add"]
    return config_from_json(found)


def test_removed_app_keeps_its_settings_and_schedules(shop_engine: Shop) -> None:
    configure(shop_engine, retries=3, on={"cron": "* * * * *"}, args="[1, 2]")
    before = config_of(shop_engine)
    celery_apps.remove(shop_engine.ctx, "shop")
    shop_engine.advance(minutes=2)
    cron_ticks.run_once(shop_engine.ctx)
    shop_engine.drain()
    assert shop_engine.take() == []
    celery_apps.add(shop_engine.ctx, "shop", "redis://other:1/0")
    assert config_of(shop_engine) == before
    shop_engine.advance(minutes=1)
    cron_ticks.run_once(shop_engine.ctx)
    shop_engine.drain()
    assert [message.args for message in shop_engine.take()] == [[1, 2]]


def test_triggers_may_have_arguments_of_their_own(shop_engine: Shop) -> None:
    configure(
        shop_engine,
        on=[
            {"event": "a/x", "if": "event.data.n > 9", "args": "['large']"},
            {"event": "a/*", "args": "['small']", "kwargs": "{'b': 1}"},
            {"event": "b"},
            {"cron": "* * * * *", "args": "['minute']"},
        ],
        args="['plain']",
    )
    for name, n in (("a/x", 10), ("a/x", 1), ("b", 1)):
        shop_engine.start(name=name, data={"n": n})
    shop_engine.now += timedelta(minutes=1)
    cron_ticks.run_once(shop_engine.ctx)
    shop_engine.drain()
    sent = [(*message.args, message.kwargs) for message in shop_engine.take()]
    assert sorted(sent, key=str) == [
        ("large", {}),
        ("minute", {}),
        ("plain", {}),
        ("small", {"b": 1}),
    ]


def test_batch_is_one_task_with_the_arguments_of_all(shop_engine: Shop) -> None:
    configure(
        shop_engine,
        on={"event": "a/x"},
        batchEvents={"maxSize": 3, "timeout": "10s"},
        args="[events.map(e, e.data.n)]",
    )
    events = [shop_engine.event(name="a/x", data={"n": n}) for n in range(4)]
    publish.accept(shop_engine.ctx, events)
    shop_engine.drain()
    assert [message.args for message in shop_engine.take()] == [[[0, 1, 2]]]
    shop_engine.advance(seconds=11)
    assert [message.args for message in shop_engine.take()] == [[[3]]]


def test_invocation_of_a_batching_task_runs_at_once(shop_engine: Shop) -> None:
    configure(
        shop_engine,
        on={"event": "a/x"},
        batchEvents={"maxSize": 3, "timeout": "10s"},
        args="[events.map(e, e.data.n)]",
    )
    run_id = shop_engine.send(add.s(1, 2))
    shop_engine.answer(*shop_engine.take())
    assert shop_engine.run(run_id)["status"] == "completed"


def test_limit_that_changes_lets_in_what_waits(shop_engine: Shop) -> None:
    configure(shop_engine, concurrency=1)
    for n in range(3):
        shop_engine.send(add.s(n, n))
    assert len(shop_engine.take()) == 1
    configure(shop_engine, concurrency=None)
    shop_engine.drain()
    assert len(shop_engine.take()) == 2


def test_settings_of_a_task_hold_in_a_canvas(shop_engine: Shop) -> None:
    configure(shop_engine, queue="slow", retries=1, backoff={"initial": "1s"}, on_lost="fail")
    run_id = shop_engine.send(chain(add.s(1, 2), total_of.s()))
    [first] = shop_engine.take()
    assert first.options["queue"] == "slow"
    shop_engine.fail(first)
    shop_engine.advance(seconds=2)
    [again] = shop_engine.take()
    shop_engine.answer(again)
    [other] = shop_engine.take()
    assert (other.name, other.options["queue"]) == ("shop.total", "celery")
    shop_engine.fail(other)
    assert shop_engine.run(run_id)["status"] == "failed"
    lost = shop_engine.send(chain(add.s(1, 2), total_of.s()))
    [message] = shop_engine.take()
    sent_tasks.run_once(shop_engine.ctx)
    end_lost(shop_engine.ctx, {message.task_id: "its worker is gone"})
    assert shop_engine.run(lost)["status"] == "failed"


def test_signature_says_the_queue_before_the_settings(shop_engine: Shop) -> None:
    configure(shop_engine, queue="slow")
    shop_engine.send(add.s(1, 2))
    shop_engine.send(add.s(1, 2).set(queue="fast"))
    shop_engine.send(chain(add.s(1, 2).set(queue="fast"), total_of.s()))
    assert [one.options["queue"] for one in shop_engine.take()] == ["slow", "fast", "fast"]


def test_settings_that_are_changed_at_once_are_all_kept(db: Database) -> None:
    """Each as by a process of its own: a change that reads before another commits would undo it."""
    shop_engine = Shop(db)
    changes: list[dict[str, object]] = [
        {"retries": 3},
        {"queue": "slow"},
        {"timeout": "30m"},
        {"on_lost": "fail"},
        {"args": "[1]"},
        {"priority": {"run": "1"}},
    ]
    engines = [Engine(db, sequence()) for _ in changes]
    ready = threading.Barrier(len(changes))

    def change(engine: Engine, settings: dict[str, object]) -> None:
        ready.wait(timeout=60)
        task_settings.configure(engine.ctx, "shop", "shop.add", settings)

    with ThreadPoolExecutor(len(changes)) as threads:
        list(threads.map(change, engines, changes))
    task = config_of(shop_engine).celery
    assert task is not None
    assert set(canonical.loads(task.own or "{}")) == {name for one in changes for name in one}
