"""Slots of concurrency are passed on in the transaction that frees them, and only then."""

import threading
from datetime import timedelta
from typing import Any

import pytest

from inngest_py.domain.reply.read import Reply
from inngest_py.engine.admin import pause_function
from inngest_py.engine.upkeep import lease_keeping as upkeep
from inngest_py.engine.upkeep import stuck_lines
from inngest_py.engine.work import claims, end_run, run_item
from inngest_py.storage.db.session import Database
from inngest_py.storage.operations import pruning
from inngest_py.storage.queue import leases
from tests.engine.flow import Statements, rows, send, statuses, together
from tests.engine.harness import Engine, parallel, sequence
from tests.factories import reply, step

LIMITED = {"concurrency": 1}


def claim(engine: Engine) -> run_item.Job:
    """Claim the only item that is hinted at."""
    [(_, item_id)] = engine.hinted.hints
    engine.hinted.hints.clear()
    [job] = claims.claim(engine.ctx, [item_id])
    assert isinstance(job, run_item.Job)
    return job


def deadlocks(db: Database) -> int:
    """Count the transactions that PostgreSQL has ended for a deadlock."""
    if db.is_sqlite:
        return 0
    db.close()  # a session's figures are counted when it ends
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    return int(rows(db, query)[0][0])


def test_lapsed_lease_passes_on_its_slot(db: Database) -> None:
    engine = Engine(db, sequence("a"), **LIMITED)
    send(engine, {"n": 0}, {"n": 1})
    dead = claim(engine)
    engine.now += engine.ctx.tuning.lease + timedelta(seconds=1)
    assert not upkeep.free_lapsed(engine.ctx, engine.now)
    assert claim(engine).item.id == dead.item.id  # the run keeps its place before the others
    engine.now += engine.ctx.tuning.lease + timedelta(seconds=1)
    upkeep.free_lapsed(engine.ctx, engine.now)
    engine.drain()
    assert statuses(engine) == ["completed"] * 2


@pytest.mark.parametrize("restarted", [False, True])
def test_stopping_worker_keeps_slots_of_calls_still_running(db: Database, restarted: bool) -> None:
    engine = Engine(db, sequence("a"), **LIMITED)
    send(engine, {"n": 0}, {"n": 1})
    claim(engine)
    with db.transaction() as tx:
        if restarted:
            assert leases.release_all(tx, engine.now) == 0
        else:
            assert leases.release(tx, "w1", engine.now) == 0
    engine.advance(seconds=3)
    assert engine.sdk.requests == []
    engine.now += engine.ctx.tuning.lease
    upkeep.free_lapsed(engine.ctx, engine.now)
    engine.drain()
    assert statuses(engine) == ["completed"] * 2


@pytest.mark.parametrize("restarted", [False, True])
def test_stopping_worker_keeps_slots_of_whole_runs_too(db: Database, restarted: bool) -> None:
    limited = {"concurrency": {"fn": [{"limit": 1}]}}
    engine = Engine(db, sequence("a"), **limited)
    send(engine, {"n": 0}, {"n": 1})
    claim(engine)
    with db.transaction() as tx:
        freed = leases.release_all if restarted else (lambda tx, now: leases.release(tx, "w1", now))
        assert freed(tx, engine.now) == 0


def test_cancelled_run_keeps_its_slot_until_its_call_is_over(db: Database) -> None:
    engine = Engine(db, sequence("a"), **LIMITED)
    send(engine, {"n": 0}, {"n": 1})
    job = claim(engine)
    end_run.cancel(engine.ctx, job.run.id)
    assert engine.hinted.hints == []
    run_item.run_job(engine.ctx, job)  # its answer comes and is dropped
    [_] = engine.hinted.hints
    engine.drain()
    assert sorted(statuses(engine)) == ["cancelled", "completed"]
    assert rows(db, "SELECT id FROM queue_items") == []


def test_cancelled_run_of_a_dead_worker_keeps_its_slot_until_the_lease_ends(db: Database) -> None:
    engine = Engine(db, sequence("a"), **LIMITED)
    send(engine, {"n": 0}, {"n": 1})
    job = claim(engine)
    end_run.cancel(engine.ctx, job.run.id)
    engine.now += engine.ctx.tuning.lease + timedelta(seconds=1)
    upkeep.free_lapsed(engine.ctx, engine.now)
    engine.drain()
    assert sorted(statuses(engine)) == ["cancelled", "completed"]
    assert len(engine.sdk.requests) == 2  # both of the other run
    assert rows(db, "SELECT id FROM queue_items") == []


def test_a_call_whose_run_is_deleted_gives_its_slot_back_with_the_lease(db: Database) -> None:
    engine = Engine(db, sequence("a"), **LIMITED)
    send(engine, {"n": 0}, {"n": 1})
    gone = claim(engine)
    end_run.cancel(engine.ctx, gone.run.id)
    later = engine.now + timedelta(seconds=1)
    with db.transaction() as tx:
        assert pruning.prune_runs(tx, later, later, 100).runs == 1
    engine.now += engine.ctx.tuning.lease + timedelta(seconds=1)
    upkeep.free_lapsed(engine.ctx, engine.now)
    engine.drain()
    assert engine.queued(gone.run.id) == []
    stuck_lines.StuckLines().run_once(engine.ctx)
    engine.drain()
    assert statuses(engine) == ["completed"]


def test_parallel_steps_that_fail_or_lapse_keep_a_place_in_line(db: Database) -> None:
    """An item that follows another and is leased at once waits in line too when it lapses."""
    inner, failed = parallel("a", "b"), set()

    def script(request: dict[str, Any], target: str) -> Reply:
        if target == step("a") and request["ctx"]["run_id"] not in failed:
            failed.add(request["ctx"]["run_id"])
            return reply(500, {"name": "E", "message": "m"})
        return inner(request, target)

    engine = Engine(db, script, **LIMITED)
    send(engine, {"n": 0})
    engine.drain()
    engine.now += timedelta(seconds=5)
    send(engine, {"n": 1})
    holder = claim(engine)
    engine.advance(seconds=1)  # the retry is due, and finds no room
    assert len(rows(db, "SELECT 1 FROM queue_items WHERE state = 'waiting'")) == 1
    run_item.run_job(engine.ctx, holder)
    engine.drain()
    engine.advance(seconds=10)
    assert statuses(engine) == ["completed"] * 2


def test_paused_function_passes_on_its_slot(db: Database) -> None:
    shared = {"concurrency": [{"limit": 1, "scope": "account", "key": "'x'"}]}
    engine = Engine(db, sequence("a"), **shared)
    send(engine, {"n": 0}, {"n": 1})
    [hint] = engine.hinted.hints
    engine.hinted.hints.clear()
    with db.reading() as tx:
        engine.ctx.catalog.refresh(tx)
    [function] = engine.ctx.catalog.by_id
    with db.transaction() as tx:  # the function is marked, its items are not held yet
        pause_function.function_pause.pause(tx, function, "hold", engine.now)
    assert claims.claim(engine.ctx, [hint[1]]) == []
    [(_, following)] = engine.hinted.hints
    assert following != hint[1]


def test_free_slot_does_not_let_in_a_throttled_line(db: Database) -> None:
    throttle = {"limit": 1, "period": "60s", "burst": 1}
    engine = Engine(db, sequence("a"), throttle=throttle, **LIMITED)
    send(engine, *({"n": n} for n in range(6)))
    ids = [item_id for _, item_id in engine.hinted.hints]
    engine.hinted.hints.clear()
    assert len(claims.claim(engine.ctx, ids)) <= 1
    throttled = "SELECT 1 FROM queue_items WHERE state = 'waiting' AND gate LIKE 'throttle:%'"
    assert len(rows(db, throttled)) == 4


def test_a_claim_and_a_cancellation_do_not_wait_for_each_other(db: Database) -> None:
    engine = Engine(db, sequence("a"), concurrency=5)
    for _ in range(15):
        engine.hinted.hints.clear()
        run_id = engine.start()
        [(_, item_id)] = engine.hinted.hints

        def act(number: int, run_id: str = run_id, item_id: str = item_id) -> None:
            if number:
                end_run.cancel(engine.ctx, run_id)
            else:
                for job in claims.claim(engine.ctx, [item_id]):
                    run_item.run_job(engine.ctx, job)

        together(2, act)
    engine.advance(seconds=3)
    assert set(statuses(engine)) <= {"cancelled", "completed"}
    assert rows(db, "SELECT id FROM queue_items") == []
    assert deadlocks(db) == 0


def test_waiting_run_is_cancelled_while_a_slot_is_passed_on(db: Database) -> None:
    """Cancelling locks the waiting item, then the group; ending a run locks in the other order."""
    engine = Engine(db, sequence(), **LIMITED)
    events = send(engine, *({"n": n} for n in range(40)))
    assert len(events) == 40
    lock, left = threading.Lock(), [row[0] for row in rows(db, "SELECT id FROM runs ORDER BY id")]

    def act(number: int) -> None:
        while True:
            with lock:
                if number == 0:
                    hint = engine.hinted.hints.pop(0) if engine.hinted.hints else None
                elif not left:
                    return
                else:
                    run_id = left.pop(0 if number == 1 else -1)
            if number:
                end_run.cancel(engine.ctx, run_id)
            elif hint is not None:
                run_item.work(engine.ctx, [hint[1]])
            elif not left:
                return

    together(3, act)
    for _ in range(3):
        engine.advance(seconds=3)
    assert set(statuses(engine)) <= {"cancelled", "completed"}
    assert rows(db, "SELECT id FROM queue_items") == []
    assert deadlocks(db) == 0


@pytest.mark.parametrize(
    ("limits", "claims", "ends"),
    [
        ({}, 0, 0),
        (LIMITED, 1, 1),
        ({"concurrency": [{"limit": 9}, {"limit": 3, "key": "1"}]}, 1, 1),
    ],
)
def test_limit_costs_one_statement_per_claim_and_one_per_end(
    db: Database, limits: dict[str, Any], claims: int, ends: int
) -> None:
    def counted(**config: Any) -> tuple[int, int]:
        engine = Engine(db, sequence(), **config)
        send(engine, {"n": 0})
        with Statements(db) as seen:
            job = claim(engine)
        claimed = len(seen.seen)
        with Statements(db) as seen:
            run_item.run_job(engine.ctx, job)
        return claimed, len(seen.seen)

    plain, limited = counted(), counted(**limits)
    # on PostgreSQL, a run without limits begins in the message that claims its item
    begin = 0 if db.is_sqlite else claims
    assert limited == (plain[0] + claims + begin, plain[1] + ends)
