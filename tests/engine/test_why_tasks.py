"""Why a run of Celery tasks waits: where its task is, or why it cannot be sent."""

from datetime import timedelta

import pytest

from inngest_py.domain.reports.why import Reason
from inngest_py.domain.steps.task_states import Held
from inngest_py.engine.admin import why_run_waits
from inngest_py.engine.apps import celery_apps
from inngest_py.engine.upkeep import celery_watch, lost_tasks, sent_tasks
from inngest_py.storage.db.session import Database
from tests.engine.shop import Shop, add


@pytest.fixture
def shop_engine(db: Database) -> Shop:
    return Shop(db)


def _reason(shop_engine: Shop, run_id: str) -> Reason:
    found = why_run_waits.of_run(shop_engine.ctx, run_id).reasons
    return next(one for one in found if one.kind == "celery")


def _sent(shop_engine: Shop) -> str:
    run_id = shop_engine.send(add.s(1, 2))
    sent_tasks.run_once(shop_engine.ctx)
    shop_engine.now += timedelta(seconds=40)
    return run_id


def _held(shop_engine: Shop, held: Held | None) -> None:
    known = lost_tasks.sent(shop_engine.ctx, shop_engine.app_id)
    [name] = known
    found = {} if held is None else {name: held}
    queues = {"celery": 0}
    hosts = frozenset(["celery@x"])
    lost_tasks.compare(shop_engine.ctx, known, found, hosts=hosts, waiting=queues)


def test_task_that_no_worker_has_taken(shop_engine: Shop) -> None:
    run_id = _sent(shop_engine)
    found = _reason(shop_engine, run_id)
    assert "The task of step 'add' was sent to queue celery 40 s ago" in found.text
    assert "none of the app has answered: start one" in found.text
    celery_watch.note_workers(shop_engine.ctx, shop_engine.app_id, {"celery@x": ["shop.add"]})
    found = _reason(shop_engine, run_id)
    assert "no worker was seen with it yet, 1 worker of the app answered last" in found.text
    assert (found.details["queue"], found.details["workers"]) == ("celery", ["celery@x"])


def test_task_that_a_worker_runs(shop_engine: Shop) -> None:
    run_id = _sent(shop_engine)
    _held(shop_engine, Held("celery@x"))
    assert "worker celery@x holds it until" in _reason(shop_engine, run_id).text
    started = shop_engine.now
    _held(shop_engine, Held("celery@x", started))
    found = _reason(shop_engine, run_id)
    assert f"worker celery@x runs it since {started:%Y-%m-%d %H:%M:%S} UTC" in found.text
    assert (found.details["worker"], found.until) == ("celery@x", started + timedelta(hours=2))
    _held(shop_engine, None)
    assert "but did not name it when it was asked last" in _reason(shop_engine, run_id).text


def test_broker_that_is_away(shop_engine: Shop) -> None:
    run_id = _sent(shop_engine)
    celery_apps.mark(shop_engine.ctx, shop_engine.app_id, "broker_away", "it cannot be reached")
    assert "may be old: it cannot be reached" in _reason(shop_engine, run_id).text
    shop_engine.brokers.away = True
    unsent = shop_engine.send(add.s(3, 4))
    assert "cannot be sent: it cannot be reached" in _reason(shop_engine, unsent).text


def test_app_that_was_removed(shop_engine: Shop) -> None:
    run_id = _sent(shop_engine)
    assert celery_apps.remove(shop_engine.ctx, "shop")
    assert "was removed: add it again, or cancel the run" in _reason(shop_engine, run_id).text
