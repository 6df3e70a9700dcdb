"""Connections to brokers of Celery apps: their state, who watches them, and news that is late."""

from itertools import pairwise
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from inngest_py.cli import cli
from inngest_py.domain.reports.celery_seen import Workers
from inngest_py.domain.values import ids
from inngest_py.engine.apps import celery_apps
from inngest_py.engine.upkeep import celery_watch
from inngest_py.storage.catalog.celery_apps import CeleryApp
from inngest_py.tasks.celery_apps.service import CeleryAppsService
from tests.api.conftest import Service
from tests.api.test_celery_apps import BROKER, connect, see
from tests.processes import wait_until


def _error(service: Service) -> Any:
    return service.client.get("/v1/celery/shop").json["data"]["error"]


def test_list_says_the_state_of_each_app_and_the_fix(served: str, service: Service) -> None:
    ctx = service.engine.ctx
    for name in ("away", "elsewhere", "shop", "unseen"):
        connect(service, name)
    (away,) = (app for app in ctx.celery_apps.all(ctx.db) if app.name == "away")
    celery_apps.mark(ctx, away, "broker_away", "it cannot be reached: check its URL")
    see(service, ids.app_id("shop"), ["shop.add"])
    _see_reader_of_another_queue(service, "elsewhere")
    done = CliRunner().invoke(cli, ["celery", "list", "--url", served])
    lines = [line.strip() for line in done.output.splitlines()]
    found = dict(pairwise(lines))
    names = ("away", "elsewhere", "shop", "unseen")
    states = [found[f"{name}  redis://127.0.0.1:1/0  queue celery"] for name in names]
    assert states[0] == "state: error: it cannot be reached: check its URL"
    assert states[1].startswith("state: no reader: No worker reads the queue celery: start one by")
    assert states[2] == "state: connected"
    assert states[3].startswith("state: connecting: A worker of this server looks for it")


def _see_reader_of_another_queue(service: Service, name: str) -> None:
    workers = Workers()
    queues = {"one@shop": [{"name": "slow"}]}
    workers.told({"one@shop": ["shop.add"]}, {}, queues, service.engine.now)
    celery_watch.note_seen(service.engine.ctx, ids.app_id(name), workers)


def test_whoever_adds_an_app_is_told_that_no_worker_reads_its_queue(
    served: str, service: Service
) -> None:
    connect(service)
    _see_reader_of_another_queue(service, "shop")
    done = CliRunner().invoke(cli, ["celery", "add", "shop", "--broker", BROKER, "--url", served])
    assert "shop is connected: 1 tasks of its workers are functions" in done.stdout
    assert "No worker reads the queue celery: start one by celery worker -Q celery" in done.stderr


def test_another_process_watches_at_once_when_one_stops(service: Service) -> None:
    """Until one does, tasks that fail have no reason."""
    app_id = connect(service).json["data"]["id"]
    engine = service.engine
    watcher = select(CeleryApp.watcher).where(CeleryApp.app_id == app_id)

    def watched_by() -> str | None:
        with engine.ctx.db.reading() as tx:
            return tx.scalar(watcher)

    apps = CeleryAppsService(lambda: engine.ctx)
    apps.start()
    try:
        wait_until(watched_by, 30, "the watcher")
    finally:
        apps.stop()
    assert watched_by() is None


@pytest.mark.parametrize(
    "change",
    [
        {"broker_url": "redis://127.0.0.1:2/0"},
        {"broker_url": BROKER, "options": {"visibility_timeout": 60}},
    ],
)
def test_late_news_of_a_broker_that_was_replaced_is_dropped(
    service: Service, change: dict[str, Any]
) -> None:
    """A try may take ten seconds, and ends after the app was connected to another broker."""
    connect(service)
    engine = service.engine
    (before,) = engine.ctx.celery_apps.all(engine.ctx.db)
    service.client.put("/v1/celery/shop", json=change)
    (now,) = engine.ctx.celery_apps.all(engine.ctx.db)
    celery_apps.mark(engine.ctx, before, "broker_away", "it cannot be reached")
    assert _error(service) is None
    celery_apps.mark(engine.ctx, now, "broker_away", "it cannot be reached")
    celery_apps.mark(engine.ctx, before, None, None)
    assert _error(service) == "broker_away"
    celery_apps.mark(engine.ctx, now, None, None)
    assert _error(service) is None
