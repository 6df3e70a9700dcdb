"""Rows that a newer version wrote, while both versions run on one database."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from sqlalchemy import update

from inngest_py.engine.admin import why_event
from inngest_py.engine.intake import cron_schedules
from inngest_py.engine.intake.cron_schedules import Missed
from inngest_py.storage.catalog import functions
from inngest_py.storage.catalog.crons import of_app
from inngest_py.storage.catalog.functions import FunctionRow
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import app_list, function_list
from inngest_py.storage.queue.queue_items import QueueItem
from tests.engine.flow import send, statuses
from tests.engine.harness import Engine, sequence
from tests.engine.test_parked_for_archived import RULES

CRON = {"triggers": [{"event": "a/b"}, {"cron": "* * * * *"}]}


def rewritten(engine: Engine, change: Callable[[dict[str, Any]], Any]) -> str:
    """Change the stored configuration as another process would; return the old one."""
    with engine.ctx.db.transaction() as tx:
        (row,) = function_list.every(tx)
        config = orjson.loads(row["config"])
        made = orjson.dumps(change(config) or config).decode()
        tx.execute(update(FunctionRow).values(config=made, version=FunctionRow.version + 1))
        functions.renew_catalog_version(tx)
    return str(row["config"])


def unreadable(config: dict[str, Any]) -> None:
    del config["slug"]
    config["identity"] = {"slug": "app-fn"}


def other_app(engine: Engine) -> None:
    """Register a second function, which both versions can read."""
    from tests.engine.test_register import register, sync

    register(engine.ctx, sync("second"))


def test_fields_and_triggers_of_a_later_version_are_ignored(db: Database) -> None:
    engine = Engine(db, sequence("a"))

    def change(config: dict[str, Any]) -> None:
        config["colour"] = {"name": "red"}
        config["triggers"] += [{"webhook": "https://x.test"}]

    rewritten(engine, change)
    run_id = engine.start()
    engine.drain()
    assert engine.run(run_id)["status"] == "completed"
    with db.reading() as tx:
        (row,) = function_list.every(tx)
    assert "webhook" in row["config"], "it is kept"


@pytest.mark.parametrize("change", [unreadable, lambda _: ["a list"]])
def test_unreadable_function_keeps_no_event_from_the_others(
    db: Database, change: Callable[[dict[str, Any]], Any], caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine(db, sequence("a"))
    other_app(engine)
    with db.transaction() as tx:
        mine = [row for row in function_list.every(tx) if row["slug"] == "app-fn"]
        config = orjson.loads(mine[0]["config"])
        made = orjson.dumps(change(config) or config).decode()
        tx.execute(update(FunctionRow).where(FunctionRow.slug == "app-fn").values(config=made))
        functions.renew_catalog_version(tx)
    for _ in range(3):
        run_id = engine.start(name="a/c")
    engine.drain()
    assert engine.run(run_id)["status"] == "completed"
    told = [line for line in caplog.records if line.message == "function.unreadable"]
    assert len(told) == 1
    assert told[0].exc_info


def test_runs_and_schedules_of_an_unreadable_function_wait_for_newer_workers(db: Database) -> None:
    engine = Engine(db, sequence("a"), **CRON)
    run_id = engine.start()
    before = rewritten(engine, unreadable)
    engine.drain()
    (item,) = engine.queued(run_id)
    assert (item["state"], item["attempt"]) == ("ready", 0)
    assert engine.run(run_id)["status"] == "queued"
    engine.now += engine.ctx.tuning.lease * 4
    cron_schedules.run_due(engine.ctx, Missed.SKIP)
    with db.reading() as tx:
        (app,) = app_list.every(tx)
        assert len(of_app(tx, app["id"])) == 1
    rewritten(engine, lambda _: orjson.loads(before))
    engine.advance()
    assert engine.run(run_id)["status"] == "completed"
    assert not engine.ctx.catalog.unreadable


@pytest.mark.parametrize("change", [unreadable, lambda _: ["a list"]])
@pytest.mark.parametrize("rule", RULES)
def test_its_debounces_and_batches_say_what_they_wait_for(
    db: Database,
    rule: str,
    change: Callable[[dict[str, Any]], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = Engine(db, sequence(), **RULES[rule])
    [event] = send(engine, {"n": 1})
    before = rewritten(engine, change)
    engine.advance(seconds=12)
    assert statuses(engine) == []
    [kept] = [record for record in caplog.records if record.message == "timer.kept"]
    assert kept.fields["why"] == "unreadable"  # type: ignore[attr-defined]
    [reason, *_] = why_event.of_event(engine.ctx, event.id).reasons
    assert reason.kind == "function_unreadable"
    assert f"Kept in the {rule} of app-fn, which this version cannot read" in reason.text
    engine.advance(hours=5)
    rewritten(engine, lambda _: orjson.loads(before))
    engine.advance(seconds=31)  # a worker that can read it finds the timer soon
    assert statuses(engine) == ["completed"]


def test_items_of_an_unknown_kind_are_left_to_those_who_know_it(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    run_id = engine.start()
    engine.hinted.hints.clear()
    with db.transaction() as tx:
        tx.execute(update(QueueItem).values(kind="dream"))
    engine.advance(seconds=5)
    assert engine.hinted.hints == []
    (item,) = engine.queued(run_id)
    assert item["state"] == "ready"
    with db.transaction() as tx:
        tx.execute(update(QueueItem).values(kind="start"))
    engine.advance(seconds=5)
    assert engine.run(run_id)["status"] == "completed"
