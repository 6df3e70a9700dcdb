"""Why a run of Celery tasks waits: where its task is, or why it cannot be sent."""

from datetime import timedelta

import pytest

from inngest_py.domain.reports.celery_seen import Running, Workers
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
    assert "no worker of the app answers: start one." in found.text


def _see(shop_engine: Shop, running: dict[str, int], messages: int, queue: str = "celery") -> None:
    """Have the watcher see workers of two processes that run so many tasks of others."""
    workers, now = Workers(), shop_engine.now
    names = {host: ["shop.add"] for host in running}
    pool = {"implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": 2}
    queues = {host: [{"name": queue}] for host in running}
    workers.told(names, {host: {"pool": pool} for host in running}, queues, now)
    tasks = {
        host: [Running(f"t{n}", "other.task") for n in range(running[host])] for host in running
    }
    workers.hold(tasks, {}, now)
    workers.queues = {"celery": messages}
    celery_watch.note_seen(shop_engine.ctx, shop_engine.app_id, workers)


@pytest.mark.parametrize(
    ("running", "messages", "said"),
    [
        ({"a@x": 2, "b@x": 2}, 119, "2 workers, both busy; at most 118 messages before it."),
        ({"a@x": 2, "b@x": 2, "c@x": 3}, 2, "3 workers, all busy; at most 1 message before it."),
        ({"a@x": 2, "b@x": 0}, 1, "2 workers, 1 of them busy; no message before it."),
        ({"a@x": 2}, 1, "1 worker, busy; no message before it."),
        ({"a@x": 0}, 0, "1 worker, not busy when it was asked last; the queue was empty"),
        ({}, 7, "no worker of the app answers: start one; at most 6 messages before it."),
    ],
)
def test_task_in_the_queue(
    shop_engine: Shop, running: dict[str, int], messages: int, said: str
) -> None:
    run_id = _sent(shop_engine)
    _see(shop_engine, running, messages)
    found = _reason(shop_engine, run_id)
    assert f"sent to queue celery 40 s ago; {said}" in found.text
    assert found.details["workers"] == sorted(running)
    assert found.details["busy"] == [host for host, number in running.items() if number >= 2]


def test_queue_that_no_worker_reads(shop_engine: Shop) -> None:
    run_id = _sent(shop_engine)
    _see(shop_engine, {"a@x": 0, "b@x": 0}, 1, queue="slow")
    said = "none of its 2 workers reads this queue: start one by celery worker -Q celery"
    assert said in _reason(shop_engine, run_id).text


def test_workers_that_nobody_looks_at(shop_engine: Shop) -> None:
    run_id = _sent(shop_engine)
    _see(shop_engine, {"a@x": 2}, 1)
    shop_engine.now += timedelta(minutes=5)
    assert "last looked at 5 min ago: none of ours does" in _reason(shop_engine, run_id).text


def test_worker_that_is_gone(shop_engine: Shop) -> None:
    run_id = _sent(shop_engine)
    _held(shop_engine, Held("a@x"))
    workers = Workers()
    workers.heard("a@x", shop_engine.now)
    shop_engine.now += timedelta(seconds=40)
    celery_watch.note_seen(shop_engine.ctx, shop_engine.app_id, workers)
    said = "worker a@x, which holds it, has not been heard of for 40 s: it counts as lost after"
    assert said in _reason(shop_engine, run_id).text


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
    shop = shop_engine.ctx.celery_apps.get(shop_engine.ctx.committer, shop_engine.app_id)
    celery_apps.mark(shop_engine.ctx, shop, "broker_away", "it cannot be reached")
    assert "may be old: it cannot be reached" in _reason(shop_engine, run_id).text
    shop_engine.brokers.away = True
    unsent = shop_engine.send(add.s(3, 4))
    assert "cannot be sent: it cannot be reached" in _reason(shop_engine, unsent).text


def test_app_that_was_removed(shop_engine: Shop) -> None:
    run_id = _sent(shop_engine)
    assert celery_apps.remove(shop_engine.ctx, "shop")
    assert "was removed: add it again, or cancel the run" in _reason(shop_engine, run_id).text
