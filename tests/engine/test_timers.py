"""How long upkeep waits between looks at due items: until the next is due, longer when idle."""

import time
from dataclasses import replace
from datetime import timedelta

import pytest

from inngest_py.engine.upkeep.due_items import DueItems
from inngest_py.storage.db.session import Database
from tests.engine.harness import Engine, sequence
from tests.factories import item

TICK = timedelta(milliseconds=250)


def test_an_idle_process_looks_half_as_often(db: Database) -> None:
    engine, timers = Engine(db, sequence("one")), DueItems()
    assert not timers.run_once(engine.ctx)
    assert timers.delay(engine.ctx, TICK) == 2 * TICK
    engine.ctx.leases.hold(item())
    assert not timers.run_once(engine.ctx)
    assert timers.delay(engine.ctx, TICK) == TICK


def test_after_something_was_due_it_looks_at_every_tick_for_a_while(db: Database) -> None:
    engine, timers = Engine(db, sequence("one")), DueItems()
    engine.start()
    engine.hinted.hints.clear()  # lost
    engine.now += timedelta(seconds=5)
    timers.run_once(engine.ctx)
    assert len(engine.hinted.hints) == 1
    assert timers.delay(engine.ctx, TICK) == TICK
    engine.drain()
    engine.now += timedelta(seconds=4)
    timers.run_once(engine.ctx)
    assert timers.delay(engine.ctx, TICK) == TICK
    engine.now += timedelta(seconds=4)
    timers.run_once(engine.ctx)
    assert timers.delay(engine.ctx, TICK) == 2 * TICK


def test_wait_ends_when_the_next_item_is_due(db: Database) -> None:
    engine, timers = Engine(db, sequence("one")), DueItems()
    soon = engine.now + timedelta(milliseconds=100)
    engine.start(ts=int(soon.timestamp() * 1000))
    assert not timers.run_once(engine.ctx)
    assert timers.delay(engine.ctx, TICK) == timedelta(milliseconds=100)


def alone(db: Database) -> Engine:
    engine = Engine(db, sequence("one"))
    engine.ctx.tuning = replace(engine.ctx.tuning, alone=True)
    return engine


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
def test_process_that_is_alone_waits_until_something_is_stored(db: Database) -> None:
    engine, timers = alone(db), DueItems()
    assert not timers.run_once(engine.ctx)
    began = time.monotonic()
    engine.ctx.phase = timedelta(seconds=began) + 3 * TICK
    assert timers.delay(engine.ctx, TICK) == timedelta(0)
    assert TICK.total_seconds() < time.monotonic() - began, "it waits for the next wake-up"
    assert not timers.run_once(engine.ctx)
    soon = engine.now + timedelta(milliseconds=600)
    engine.start(ts=int(soon.timestamp() * 1000))  # as if something were stored while it waits
    assert timers.delay(engine.ctx, TICK) == timedelta(0)
    assert not timers.run_once(engine.ctx)
    assert timers.delay(engine.ctx, TICK) == TICK, "what is stored next may be due next"


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
def test_process_that_is_alone_waits_for_due_items(db: Database) -> None:
    engine, timers = alone(db), DueItems()
    soon = engine.now + timedelta(milliseconds=30)
    engine.start(ts=int(soon.timestamp() * 1000))
    assert not timers.run_once(engine.ctx)
    assert timers.delay(engine.ctx, TICK) == timedelta(0)
    engine.now = soon
    timers.run_once(engine.ctx)
    assert len(engine.hinted.hints) == 1
