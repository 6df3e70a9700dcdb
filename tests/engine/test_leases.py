"""Leases: each item has its own, and no worker loses leases that it could not extend."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from inngest_py.engine.runtime.context import Context, Leases
from inngest_py.engine.upkeep import lease_keeping as upkeep
from inngest_py.engine.work import claims
from inngest_py.storage.catalog import connections
from inngest_py.storage.db.session import Database
from inngest_py.storage.queue import leases
from tests.engine.harness import Engine, sequence
from tests.factories import item

LEASE = timedelta(seconds=30)


def claimed(engine: Engine, count: int = 1) -> list[Any]:
    """Claim the start items of new runs in one transaction."""
    for _ in range(count):
        engine.start()
    ids = [item_id for _, item_id in engine.hinted.hints]
    engine.hinted.hints = []
    jobs = claims.claim(engine.ctx, ids)
    assert len({job.item.lease_id for job in jobs}) == 1
    assert len(jobs) == count
    return [job.item for job in jobs]


def leased(engine: Engine) -> set[str]:
    with engine.ctx.db.reading() as tx:
        rows = tx.exec_driver_sql("SELECT id FROM queue_items WHERE state = 'leased'")
        return {row.id for row in rows}


def test_abandoned_item_lapses_beside_a_long_call_of_its_claim(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    long_call, given_up = claimed(engine, 2)
    engine.ctx.leases.drop(given_up)
    lapsed = upkeep.Lapsed()
    for _ in range(8):
        engine.now += LEASE / 6
        upkeep.extend(engine.ctx)
        lapsed.run_once(engine.ctx)
    assert leased(engine) == {long_call.id}


def test_worker_holds_the_item_it_continues_with() -> None:
    held, first, second = Leases(), item(id="a"), item(id="b")
    held.hold(first)
    held.pass_on(first, second)
    held.pass_on(second, second)
    assert held.all() == [("b", "l")]
    held.drop(second)
    assert not len(held)


def test_leases_are_extended_while_one_item_is_locked(db: Database) -> None:
    if db.is_sqlite:
        pytest.skip("SQLite has one writer")
    engine = Engine(db, sequence("a"))
    locked, free = claimed(engine, 2)
    until = engine.now + 2 * LEASE
    held = engine.ctx.leases.all()
    with db.transaction() as writer:
        leases.lock(writer, [locked.id])
        with db.transaction() as tx:
            leases.extend(tx, held, until)
        with db.transaction() as tx:
            lapsed = leases.free_lapsed(tx, until - LEASE / 2, 10)
    assert [row.id for row in lapsed] == []
    engine.now = until - LEASE / 2
    upkeep.free_lapsed(engine.ctx, engine.now)
    assert leased(engine) == {free.id}


def test_stalled_process_extends_its_leases_before_it_frees_lapsed_ones(db: Database) -> None:
    engine, lapsed = Engine(db, sequence("a")), upkeep.Lapsed()
    held = {one.id for one in claimed(engine, 2)}
    lapsed.run_once(engine.ctx)
    engine.now += 10 * LEASE
    lapsed.run_once(engine.ctx)
    assert leased(engine) == held
    for _ in range(5):  # its heartbeat works again
        engine.now += LEASE / 6
        upkeep.extend(engine.ctx)
        lapsed.run_once(engine.ctx)
    assert leased(engine) == held


def other(engine: Engine) -> Context:
    """Make another worker on the same database, which now runs the items the first one held."""
    made = replace(engine.ctx, worker_id="w2", leases=Leases())
    made.leases, engine.ctx.leases = engine.ctx.leases, made.leases
    return made


def test_others_may_extend_their_leases_first_after_an_outage(db: Database) -> None:
    engine, lapsed = Engine(db, sequence("a")), upkeep.Lapsed()
    held = {one.id for one in claimed(engine, 2)}
    neighbour = other(engine)
    lapsed.run_once(engine.ctx)
    engine.now += 10 * LEASE
    lapsed.run_once(engine.ctx)
    engine.now += LEASE / 3
    lapsed.run_once(engine.ctx)
    upkeep.extend(neighbour)
    engine.now += LEASE / 3
    lapsed.run_once(engine.ctx)
    assert leased(engine) == held


def test_leases_of_dead_workers_are_freed_after_that_time(db: Database) -> None:
    engine, lapsed = Engine(db, sequence("a")), upkeep.Lapsed()
    claimed(engine)
    other(engine)
    lapsed.run_once(engine.ctx)
    engine.now += 10 * LEASE
    for _ in range(2):  # even where every look is late
        lapsed.run_once(engine.ctx)
        engine.now += LEASE
    assert not leased(engine)


def test_process_that_stalls_again_and_again_keeps_its_leases(db: Database) -> None:
    engine, lapsed = Engine(db, sequence("a")), upkeep.Lapsed()
    held = {one.id for one in claimed(engine)}
    for _ in range(4):
        lapsed.run_once(engine.ctx)
        engine.now += 2 * LEASE
    lapsed.run_once(engine.ctx)
    assert leased(engine) == held


def connect_worker(engine: Engine, connection: str, gateway: str, at: datetime) -> None:
    """Write that the worker is connected to a gateway."""
    with engine.ctx.db.transaction() as tx:
        connections.put(
            tx,
            {
                "id": connection,
                "gateway_id": gateway,
                "instance_id": "pod-1",
                "status": 1,
                "groups": "{}",
                "capacity": 1,
                "in_flight": 0,
                "sdk_language": "py",
                "sdk_version": "v1",
                "platform": "",
                "attributes": "{}",
                "connected_at": at,
                "heartbeat_at": at,
            },
        )


@pytest.mark.parametrize("returns", [True, False])
@pytest.mark.parametrize("connected", [True, False])
def test_calls_of_a_dead_gateway_wait_for_a_worker_that_is_back(
    db: Database, returns: bool, connected: bool
) -> None:
    """It says within half a minute that it goes on, or sends an answer again that was lost."""
    engine = Engine(db, sequence("a"))
    connect_worker(engine, "first", engine.ctx.worker_id, engine.now)
    (mine,) = claimed(engine)
    if connected:
        with db.transaction() as tx:
            tx.exec_driver_sql("UPDATE functions SET url = 'ws://connect?fnId=app-fn'")
    if returns:
        connect_worker(engine, "second", "another", engine.now + timedelta(seconds=2))
    upkeep.free_lapsed(engine.ctx, engine.now + LEASE * 1.1)
    waits = returns and connected
    assert leased(engine) == ({mine.id} if waits else set())
    upkeep.free_lapsed(engine.ctx, engine.now + LEASE * 2.1)
    assert not leased(engine)
