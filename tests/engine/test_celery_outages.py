"""Tasks of a Celery app whose broker is away: they wait in a line, and are sent when it is back."""

from collections.abc import Sequence
from pathlib import Path

import psycopg2
import pytest
from celery import group

from inngest_py.engine.runtime.celery_apps import BrokerAway, CeleryApp, TaskMessage
from inngest_py.engine.work.end_run import cancel
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import queue_stats
from tests.databases import copied
from tests.engine.shop import Shop, add, counted


@pytest.fixture
def shop_engine(db: Database) -> Shop:
    return Shop(db)


def test_many_tasks_of_a_broker_that_is_away_cost_one_try_each_time(shop_engine: Shop) -> None:
    shop_engine.brokers.away = True
    canvas = group([add.s(number, 1) for number in range(60)])
    runs = [shop_engine.send(canvas), *(shop_engine.send(add.s(1, 1)) for _ in range(5))]
    assert shop_engine.brokers.tries == 1
    for look in range(2, 5):
        shop_engine.advance(seconds=10)
        with counted(shop_engine.ctx.db) as statements:
            shop_engine.look_at_lines()
        assert shop_engine.brokers.tries == look
        assert len(statements) < 20  # for 65 tasks
    with shop_engine.ctx.db.reading() as tx:
        assert queue_stats.in_waiting_lines(tx, 100) == {"broker": 65}
    shop_engine.brokers.away = False
    shop_engine.look_at_lines()
    shop_engine.finish()
    assert {shop_engine.run(run_id)["status"] for run_id in runs} == {"completed"}


def test_task_that_waits_for_its_broker_is_cancelled(shop_engine: Shop) -> None:
    shop_engine.brokers.away = True
    run_id = shop_engine.send(add.s(1, 1))
    cancel(shop_engine.ctx, run_id)
    shop_engine.brokers.away = False
    shop_engine.look_at_lines()
    assert shop_engine.take() == []
    assert shop_engine.queued(run_id) == []


def test_answer_of_a_task_that_the_broker_took_without_saying_so_counts(shop_engine: Shop) -> None:
    class Cut:
        def send(self, app: CeleryApp, messages: Sequence[TaskMessage]) -> None:
            shop_engine.brokers.sent += messages
            raise BrokerAway("connection lost")

    shop_engine.ctx.celery_apps.brokers = Cut()
    run_id = shop_engine.send(add.s(1, 1))
    shop_engine.ctx.celery_apps.brokers = shop_engine.brokers
    shop_engine.answer(*shop_engine.take())
    shop_engine.look_at_lines()
    assert shop_engine.take() == []
    assert shop_engine.run(run_id)["status"] == "completed"


def test_app_is_read_though_the_database_restarts(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Else the run would fail whose task is due."""
    with copied(request, "postgresql", tmp_path) as db:
        engine = Shop(db)
        engine.ctx.celery_apps._by_id.clear()
        url = db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        killer = psycopg2.connect(url)
        with killer, killer.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        killer.close()
        assert engine.app().name == "shop"
