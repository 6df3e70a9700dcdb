"""How long timers wait until they look again: to what is due next, longer with nothing to do."""

from datetime import timedelta

from inngest_py.engine.upkeep.timers import Timers
from inngest_py.storage.session import Database
from tests.engine.harness import Engine, sequence

TICK = timedelta(milliseconds=250)


def test_an_idle_process_looks_half_as_often(db: Database) -> None:
    engine, timers = Engine(db, sequence("one")), Timers()
    assert not timers.run_once(engine.ctx)
    assert timers.pause(engine.ctx, TICK) == 2 * TICK
    engine.ctx.leases.hold("a lease")
    assert not timers.run_once(engine.ctx)
    assert timers.pause(engine.ctx, TICK) == TICK


def test_after_something_was_due_it_looks_at_every_tick_for_a_while(db: Database) -> None:
    engine, timers = Engine(db, sequence("one")), Timers()
    engine.start()
    engine.hinted.hints.clear()  # lost
    engine.now += timedelta(seconds=5)
    timers.run_once(engine.ctx)
    assert len(engine.hinted.hints) == 1
    assert timers.pause(engine.ctx, TICK) == TICK
    engine.drain()
    engine.now += timedelta(seconds=4)
    timers.run_once(engine.ctx)
    assert timers.pause(engine.ctx, TICK) == TICK
    engine.now += timedelta(seconds=4)
    timers.run_once(engine.ctx)
    assert timers.pause(engine.ctx, TICK) == 2 * TICK


def test_what_is_due_sooner_is_waited_for_alone(db: Database) -> None:
    engine, timers = Engine(db, sequence("one")), Timers()
    soon = engine.now + timedelta(milliseconds=100)
    engine.start(ts=int(soon.timestamp() * 1000))
    assert not timers.run_once(engine.ctx)
    assert timers.pause(engine.ctx, TICK) == timedelta(milliseconds=100)
