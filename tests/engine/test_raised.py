"""Any error while an item runs counts as an attempt, and lost workers are counted too."""

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from inngest_py.domain.limits import MAX_LAPSES
from inngest_py.domain.reply.read import Reply
from inngest_py.domain.runs.items import ItemKind
from inngest_py.engine.intake import publish
from inngest_py.engine.upkeep import lease_keeping
from inngest_py.engine.work import run_item
from inngest_py.engine.work.claims import claim
from inngest_py.storage.db.session import Database
from tests.engine.harness import Engine, sequence
from tests.factories import op, reply


class Surprising(Exception):
    """An error that nobody expects."""


def failed(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.message == "item.failed"]


def test_error_raised_by_a_call_uses_up_attempts(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def script(request: dict[str, Any], target: str) -> Reply:
        raise Surprising("sk-secret")

    engine = Engine(db, script, retries=1)
    run_id = engine.start()
    engine.drain()
    assert [item["attempt"] for item in engine.queued(run_id)] == [1]
    engine.advance(seconds=6)
    found = engine.run(run_id)
    assert found["status"] == "failed"
    assert "Surprising" in found["output"] and "secret" not in found["output"]
    assert len(engine.sdk.requests) == 2
    assert [record.exc_info is not None for record in failed(caplog)] == [True, True]
    assert not len(engine.ctx.leases)


def test_a_request_that_cannot_be_read_uses_up_attempts(db: Database) -> None:
    ask = op("Gateway", "g", opts={"url": "http://localhost:1/x", "method": "GET"})
    engine = Engine(db, lambda request, target: reply(206, [ask]), retries=0)
    engine.ctx.tuning = replace(engine.ctx.tuning, continue_for=timedelta(0))
    run_id = engine.start()
    ((_, item_id),) = engine.hinted.hints
    engine.hinted.hints.clear()
    run_item.work(engine.ctx, [item_id])
    with db.transaction() as tx:
        tx.execute(text("UPDATE queue_items SET opts = '[]'"))
    engine.drain()
    assert engine.run(run_id)["status"] == "failed"


def test_failed_attempt_that_cannot_be_written_either_is_logged(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine(db, sequence("a"))
    raises = "BEGIN SELECT RAISE(ABORT, 'refused'); END"
    statement = "ALTER TABLE attempts ADD CONSTRAINT refused CHECK (name = '')"
    if db.is_sqlite:
        statement = f"CREATE TRIGGER refused BEFORE INSERT ON attempts {raises}"
    with db.transaction() as tx:
        tx.execute(text(statement))
    run_id = engine.start()
    engine.drain()
    assert len(failed(caplog)) == 1
    assert engine.queued(run_id)[0]["state"] == "leased"  # it lapses, and lapses are counted
    assert not len(engine.ctx.leases)


def lapse(engine: Engine, item_id: str) -> None:
    """Claim an item, die, and let its lease lapse."""
    for job in claim(engine.ctx, [item_id]):
        engine.ctx.leases.drop(job.item)
        engine.ctx.fairness.drop("localhost:1")
    engine.now += engine.ctx.tuning.lease + timedelta(seconds=1)
    lease_keeping.free_lapsed(engine.ctx, engine.now)


def test_request_that_kills_every_worker_ends_the_run(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    run_id = engine.start()
    ((_, item_id),) = engine.hinted.hints
    for _ in range(MAX_LAPSES):
        lapse(engine, item_id)
    engine.drain()
    found = engine.run(run_id)
    assert found["status"] == "failed"
    assert "worker lost" in found["output"]
    assert not engine.sdk.requests


def test_lost_workers_are_counted_per_attempt(db: Database) -> None:
    def script(request: dict[str, Any], target: str) -> Reply:
        return reply(500, "no") if len(engine.sdk.requests) == 1 else reply(200, "done")

    engine = Engine(db, script)
    run_id = engine.start()
    ((_, item_id),) = engine.hinted.hints
    for _ in range(MAX_LAPSES - 1):
        lapse(engine, item_id)
    engine.drain()
    assert [item["lapses"] for item in engine.queued(run_id)] == [0]
    engine.now += timedelta(seconds=6)
    for _ in range(MAX_LAPSES - 1):
        lapse(engine, item_id)
    run_item.work(engine.ctx, [item_id])
    assert engine.run(run_id)["status"] == "completed"


def test_a_timer_that_raises_is_tried_again_later(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine(db, sequence(), debounce={"period": "1s"})
    publish.accept(engine.ctx, [engine.event()])
    statement = "ALTER TABLE runs ADD CONSTRAINT refused CHECK (status = '')"
    if db.is_sqlite:
        raises = "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        statement = f"CREATE TRIGGER refused BEFORE INSERT ON runs {raises}"
    with db.transaction() as tx:
        tx.execute(text(statement))
    engine.advance(seconds=10)
    assert len(failed(caplog)) == 1
    with db.reading() as tx:
        (item,) = tx.execute(text("SELECT * FROM queue_items")).mappings()
    assert (item["state"], item["attempt"], item["kind"]) == ("ready", 1, ItemKind.DEBOUNCE)
    with db.transaction() as tx:
        undo = (
            "DROP TRIGGER refused" if db.is_sqlite else "ALTER TABLE runs DROP CONSTRAINT refused"
        )
        tx.execute(text(undo))
    engine.advance(seconds=6)
    with db.reading() as tx:
        assert tx.execute(text("SELECT count(*) FROM runs")).scalar() == 1


def test_timer_that_kills_every_worker_is_tried_once_an_hour(db: Database) -> None:
    engine = Engine(db, sequence(), debounce={"period": "1s"})
    publish.accept(engine.ctx, [engine.event()])
    engine.now += timedelta(seconds=10)
    with db.reading() as tx:
        item_id = str(tx.execute(text("SELECT id FROM queue_items")).scalar())
    for _ in range(MAX_LAPSES):
        lapse(engine, item_id)
    assert not claim(engine.ctx, [item_id])
    engine.now += timedelta(hours=1)
    assert len(claim(engine.ctx, [item_id])) == 1


def test_item_that_cannot_be_claimed_blocks_no_other(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine(db, sequence())
    bad, good = engine.start(), engine.start()
    with db.transaction() as tx:
        tx.execute(text("UPDATE runs SET slots = 'x' WHERE id = :id"), {"id": bad})
    ids = [item_id for _, item_id in engine.hinted.hints]
    assert [job.item.run_id for job in claim(engine.ctx, ids)] == [good]
    assert len(failed(caplog)) == 1
    (item,) = engine.queued(bad)
    assert (item["state"], item["due_at"] > engine.now) == ("ready", True)
