"""Tasks whose time is over, and tasks that are not waited for: what their workers are told."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import chain, group

from inngest_py.domain.errors import Invalid
from inngest_py.domain.runs.runs import RunStatus
from inngest_py.domain.steps import task_states
from inngest_py.domain.steps.task_states import Held
from inngest_py.domain.values import canonical
from inngest_py.engine.apps import task_settings
from inngest_py.engine.intake import publish
from inngest_py.engine.upkeep import broker_lines, celery_watch, lost_tasks, sent_tasks
from inngest_py.engine.work.celery_tasks import unanswered_tasks
from inngest_py.engine.work.end_run import cancel
from inngest_py.storage.db import deadlines
from inngest_py.storage.db.session import Database
from tests.engine.shop import Shop, add, total


@pytest.fixture
def shop_engine(db: Database) -> Shop:
    return Shop(db)


def look(engine: Shop, held: dict[str, Held]) -> None:
    """Look at the app's workers, as its watcher does."""
    sent_tasks.run_once(engine.ctx)
    sent = lost_tasks.sent(engine.ctx, engine.app_id, busy=[engine.app().queue])
    sent |= lost_tasks.named(engine.ctx, held.keys() - sent.keys())
    unanswered_tasks.end_expired(engine.ctx, task_states.expired(sent, held, engine.now))
    waiting = {task.queue: 1 for task in sent.values()}
    lost_tasks.compare(engine.ctx, sent, held, hosts=frozenset(["one@shop"]), waiting=waiting)
    engine.drain()


def revoked(engine: Shop) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    celery_watch.revoke(
        engine.ctx,
        engine.app_id,
        lambda names, terminate: found.extend((name, terminate) for name in names),
    )
    return sorted(found)


def error_of(engine: Shop, run_id: str) -> Any:
    run = engine.run(run_id)
    assert run["status"] == "failed"
    return canonical.loads(run["output"])["error"]


@pytest.mark.parametrize("reserved", [False, True])
def test_task_that_has_not_begun_by_its_deadline_fails_its_run(
    shop_engine: Shop, reserved: bool
) -> None:
    run_id = shop_engine.send(add.s(1, 2).set(expires=30).on_error(total.si([1])))
    [message] = shop_engine.take()
    held = {message.task_id: Held("one@shop")} if reserved else {}
    shop_engine.advance(seconds=29)
    look(shop_engine, held)
    assert shop_engine.run(run_id)["status"] == "running"
    shop_engine.advance(seconds=1)
    look(shop_engine, held)
    error = error_of(shop_engine, run_id)
    assert error["name"] == "TaskExpired"
    assert error["message"].endswith(str(message.options["expires"]))
    assert revoked(shop_engine) == [(message.task_id, False)]
    assert shop_engine.take() == []


def test_task_that_runs_at_its_deadline_goes_on(shop_engine: Shop) -> None:
    run_id = shop_engine.send(add.s(1, 2).set(expires=30))
    [message] = shop_engine.take()
    held = {message.task_id: Held("one@shop", shop_engine.now + timedelta(seconds=29))}
    shop_engine.advance(seconds=31)
    look(shop_engine, held)
    shop_engine.advance(seconds=300)
    shop_engine.lapse()
    look(shop_engine, held)
    shop_engine.answer(message)
    assert shop_engine.run(run_id)["status"] == "completed"


def test_deadline_counts_from_the_end_of_the_task_before_and_over_retries(
    shop_engine: Shop,
) -> None:
    task_settings.configure(shop_engine.ctx, "shop", "celery.canvas", {"retries": 3})
    run_id = shop_engine.send(chain(add.s(1, 2), add.s(3).set(expires=60)))
    shop_engine.advance(seconds=40)
    shop_engine.answer(*shop_engine.take())
    until = shop_engine.now + timedelta(seconds=60)
    for _ in range(2):
        [message] = shop_engine.take()
        assert datetime.fromisoformat(str(message.options["expires"])) == until
        shop_engine.fail(message)
        shop_engine.advance(seconds=30)
    assert shop_engine.take() == []
    assert error_of(shop_engine, run_id)["name"] == "TaskExpired"


def test_task_is_not_sent_after_its_deadline(shop_engine: Shop) -> None:
    shop_engine.limit("shop.add", 1)
    first = shop_engine.send(add.s(1, 1))
    run_id = shop_engine.send(add.s(1, 2).set(expires=30))
    [message] = shop_engine.take()
    shop_engine.advance(seconds=31)
    shop_engine.answer(message)
    assert shop_engine.take() == []
    assert shop_engine.run(first)["status"] == "completed"
    assert error_of(shop_engine, run_id)["name"] == "TaskExpired"


def test_deadline_holds_while_the_broker_is_away(shop_engine: Shop) -> None:
    shop_engine.brokers.away = True
    run_id = shop_engine.send(add.s(1, 2).set(expires=30))
    shop_engine.advance(seconds=40)
    shop_engine.brokers.away = False
    broker_lines.run_once(shop_engine.ctx)
    shop_engine.advance(seconds=1)
    assert shop_engine.take() == []
    assert error_of(shop_engine, run_id)["name"] == "TaskExpired"


def test_deadline_ends_a_task_that_nobody_could_look_for(shop_engine: Shop) -> None:
    run_id = shop_engine.send(add.s(1, 2).set(expires=30))
    sent_tasks.run_once(shop_engine.ctx)
    shop_engine.advance(seconds=95)
    shop_engine.lapse()
    assert error_of(shop_engine, run_id)["name"] == "TaskExpired"


def test_expired_member_ends_its_canvas(shop_engine: Shop) -> None:
    header = group([add.s(1, 1).set(expires=10), add.s(2, 2)])
    run_id = shop_engine.send(chain(header, total.s()))
    first, second = shop_engine.take()
    shop_engine.advance(seconds=11)
    look(shop_engine, {second.task_id: Held("one@shop", shop_engine.now)})
    assert error_of(shop_engine, run_id)["name"] == "TaskExpired"
    assert revoked(shop_engine) == sorted([(first.task_id, False), (second.task_id, False)])


@pytest.mark.parametrize("terminate", [False, True])
def test_task_over_its_time_is_revoked(shop_engine: Shop, terminate: bool) -> None:
    settings = {"timeout": "10m", "terminate": terminate, "retries": 1}
    task_settings.configure(shop_engine.ctx, "shop", "shop.add", settings)
    run_id = shop_engine.send(add.s(1, 2))
    for _ in range(2):
        [message] = shop_engine.take()
        look(shop_engine, {message.task_id: Held("one@shop", shop_engine.now)})
        shop_engine.advance(seconds=601)
        shop_engine.lapse()
        assert revoked(shop_engine) == [(message.task_id, terminate)]
        shop_engine.advance(seconds=60)
    assert error_of(shop_engine, run_id)["name"] == "TaskTimeout"


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize(("setting", "asked"), [(True, False), (False, True), (False, False)])
def test_cancelled_runs_tasks_are_revoked_and_killed_if_wished(
    shop_engine: Shop, setting: bool, asked: bool, limited: bool
) -> None:
    task_settings.configure(shop_engine.ctx, "shop", "shop.add", {"terminate": setting})
    if limited:
        shop_engine.limit("shop.add", 2)
    run_id = shop_engine.send(add.s(1, 2))
    [message] = shop_engine.take()
    assert cancel(shop_engine.ctx, run_id, terminate=asked) is RunStatus.RUNNING
    assert revoked(shop_engine) == [(message.task_id, setting or asked)]


@pytest.mark.parametrize("by", ["finish", "event"])
def test_time_outs_and_events_that_cancel_a_run_kill_its_task(shop_engine: Shop, by: str) -> None:
    settings: dict[str, object] = {"terminate": True, "on": {"event": "a/start"}}
    more = {"timeouts": {"finish": "5m"}} if by == "finish" else {"cancelOn": {"event": "a/stop"}}
    task_settings.configure(shop_engine.ctx, "shop", "shop.add", settings | more)
    run_id = shop_engine.start(name="a/start")
    shop_engine.drain()
    [message] = shop_engine.take()
    sent_tasks.run_once(shop_engine.ctx)
    if by == "finish":
        shop_engine.advance(seconds=301)
    else:
        shop_engine.advance(seconds=1)
        publish.accept(shop_engine.ctx, [shop_engine.event(name="a/stop")])
    shop_engine.drain()
    assert shop_engine.run(run_id)["status"] == "cancelled"
    assert revoked(shop_engine) == [(message.task_id, True)]


def test_terminate_is_true_or_false(shop_engine: Shop) -> None:
    with pytest.raises(Invalid, match="terminate must be true or false, not"):
        task_settings.configure(shop_engine.ctx, "shop", "shop.add", {"terminate": "yes"})


def test_other_writes_go_on_while_workers_are_told(shop_engine: Shop) -> None:
    """A broker may take seconds; SQLite has one writer at a time."""
    run_id = shop_engine.send(add.s(1, 2))
    [message] = shop_engine.take()
    cancel(shop_engine.ctx, run_id)
    told: list[str] = []

    def tell(names: Sequence[str], _terminate: bool) -> None:
        with deadlines.within(5.0), shop_engine.ctx.db.transaction():
            told.extend(names)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        celery_watch.revoke(shop_engine.ctx, shop_engine.app_id, tell)
    assert told == [message.task_id]
    assert revoked(shop_engine) == [(message.task_id, False)]
    assert revoked(shop_engine) == []


def test_deadline_at_the_end_of_the_calendar_is_none(shop_engine: Shop) -> None:
    run_id = shop_engine.send(add.s(1, 2).set(expires="9999-12-31T23:59:59-12:00"))
    [message] = shop_engine.take()
    sent_tasks.run_once(shop_engine.ctx)
    assert len(shop_engine.queued(run_id)) == 1
    shop_engine.answer(message, value=3)
    assert shop_engine.run(run_id)["status"] == "completed"
