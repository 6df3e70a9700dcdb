"""Throttles delay starts, exactly, in order, and without polling."""

import random
from datetime import timedelta

import pytest

from inngest_py.engine.admin import pause_function, rerun
from inngest_py.engine.runtime.context import Leases
from inngest_py.engine.work import claims, end_run, run_item
from inngest_py.storage.db.session import Database
from inngest_py.storage.queue import backlog, leases
from tests.engine.flow import ran, rows, send, statuses, together
from tests.engine.harness import Engine, sequence

THROTTLE = {"throttle": {"limit": 2, "period": "10s"}}


def states(db: Database) -> list[tuple[str, str]]:
    query = "SELECT kind, state FROM queue_items ORDER BY kind, state"
    return [(row[0], row[1]) for row in rows(db, query)]


@pytest.mark.parametrize(
    ("limit", "burst", "at_once"), [(1, 0, 1), (1, 1, 2), (3, 1, 4), (0, 0, 1)]
)
def test_an_idle_key_admits_limit_and_burst(
    db: Database, limit: int, burst: int, at_once: int
) -> None:
    engine = Engine(db, sequence(), throttle={"limit": limit, "period": "60s", "burst": burst})
    send(engine, *({"n": n} for n in range(6)))
    engine.drain()
    assert len(ran(engine)) == at_once
    assert statuses(engine).count("queued") == 6 - at_once


def test_in_order_and_nothing_is_lost(db: Database) -> None:
    engine = Engine(db, sequence("a"), **THROTTLE)
    for n in range(6):
        send(engine, {"n": n})
        engine.advance(milliseconds=1)
    assert ran(engine)[::2] == [0, 1]
    assert states(db) == [("start", "waiting")] * 4 + [("throttle", "ready")]
    for _ in range(20):
        engine.advance(seconds=1)
    assert ran(engine)[::2] == [0, 1, 2, 3, 4, 5]
    assert set(statuses(engine)) == {"completed"}
    assert states(db) == []


def test_waiting_starts_are_not_due(db: Database) -> None:
    """While no run may start, no item is due: the line costs nothing."""
    engine = Engine(db, sequence(), throttle={"limit": 1, "period": "1h"})
    send(engine, *({"n": n} for n in range(50)))
    engine.drain()
    with db.reading() as tx:
        due = backlog.next_due(tx)
    assert due == engine.now + timedelta(hours=1)
    engine.advance(hours=1)
    assert len(ran(engine)) == 2


def test_a_new_arrival_does_not_overtake_the_line(db: Database) -> None:
    engine = Engine(db, sequence(), **THROTTLE)
    for n in range(4):
        send(engine, {"n": n})
        engine.drain()
        engine.now += timedelta(milliseconds=1)
    engine.now += timedelta(seconds=5)  # the timer is due, but its hint has not come yet
    send(engine, {"n": 4})
    engine.drain()
    engine.advance(seconds=10)
    engine.advance(seconds=10)
    assert ran(engine) == [0, 1, 2, 3, 4]


def test_keys_and_retries(db: Database) -> None:
    engine = Engine(
        db, sequence("a", "b"), throttle={"limit": 1, "period": "1h", "key": "event.data.k"}
    )
    send(engine, {"k": "a"}, {"k": "b"}, {"k": "a"}, {"k": "b"})
    engine.drain()
    assert statuses(engine).count("completed") == 2
    assert statuses(engine).count("queued") == 2


def test_a_retried_start_is_not_charged_again(db: Database) -> None:
    from tests.factories import reply

    engine = Engine(db, lambda request, _: reply(500, {}), **THROTTLE)
    send(engine, {"n": 0}, {"n": 1})
    engine.drain()
    engine.advance(seconds=5)
    engine.advance(seconds=5)
    assert statuses(engine) == ["failed", "failed"]
    assert len(ran(engine)) == 6


def test_a_crash_between_charge_and_call_neither_loses_nor_charges_again(db: Database) -> None:
    engine = Engine(db, sequence(), throttle={"limit": 1, "period": "1h"})
    send(engine, {"n": 0}, {"n": 1})
    for _, item_id in engine.hinted.hints:
        claims.claim(engine.ctx, [item_id])  # and dies
    engine.hinted.hints.clear()
    engine.ctx.leases = Leases()
    engine.now += timedelta(minutes=1)
    with db.transaction() as tx:
        assert len(leases.free_lapsed(tx, engine.now, 10)) == 1
    engine.advance(seconds=0)
    assert statuses(engine).count("completed") == 1
    engine.advance(hours=1)
    assert set(statuses(engine)) == {"completed"}


def test_the_timer_survives_a_crash(db: Database) -> None:
    engine = Engine(db, sequence(), throttle={"limit": 1, "period": "1m"})
    send(engine, {"n": 0}, {"n": 1})
    engine.drain()
    engine.now += timedelta(minutes=1)
    with db.transaction() as tx:
        (timer,) = [item for item, _ in backlog.due(tx, engine.now, 10, engine.now)]
    claims.claim(engine.ctx, [timer])  # and dies
    engine.now += timedelta(minutes=1)
    with db.transaction() as tx:
        leases.free_lapsed(tx, engine.now, 10)
    engine.advance(seconds=0)
    assert set(statuses(engine)) == {"completed"}


def test_cancelled_runs_leave_no_gap(db: Database) -> None:
    engine = Engine(db, sequence(), throttle={"limit": 1, "period": "10s"})
    for n in range(4):
        send(engine, {"n": n})
        engine.drain()
        engine.now += timedelta(milliseconds=1)
    waiting = rows(db, "SELECT run_id FROM queue_items WHERE state = 'waiting' ORDER BY rank_us")
    end_run.cancel(engine.ctx, waiting[0][0])
    end_run.cancel(engine.ctx, waiting[1][0])
    engine.advance(seconds=10)
    assert ran(engine) == [0, 3]


def test_priority_goes_first(db: Database) -> None:
    engine = Engine(
        db,
        sequence(),
        throttle={"limit": 1, "period": "10s"},
        priority={"run": "event.data.p"},
    )
    for n, p in enumerate([0, 0, -100, 30, 60, "x"]):
        send(engine, {"n": n, "p": p})
        engine.drain()
        engine.now += timedelta(milliseconds=10)
    for _ in range(6):
        engine.advance(seconds=10)
    assert ran(engine) == [0, 4, 3, 1, 5, 2]


def test_without_a_throttle_priority_orders_what_is_due(db: Database) -> None:
    engine = Engine(db, sequence(), priority={"run": "event.data.p"})
    for n, p in enumerate([0, 5, -5, 0, 60]):
        send(engine, {"n": n, "p": p})
        engine.now += timedelta(milliseconds=10)
    engine.hinted.hints.clear()  # the workers were busy
    engine.now += timedelta(seconds=3)
    with db.transaction() as tx:
        first = backlog.due(tx, engine.now, 2, engine.now + timedelta(seconds=2))
        others = backlog.due(tx, engine.now, 9, engine.now + timedelta(seconds=2))
    engine.hinted.send([(kind, item_id) for item_id, kind in first + others])
    engine.drain()
    assert ran(engine) == [4, 1, 0, 3, 2]


def test_a_future_event_takes_no_room_before_its_time(db: Database) -> None:
    engine = Engine(db, sequence(), throttle={"limit": 1, "period": "1m"})
    later = int((engine.now + timedelta(hours=1)).timestamp() * 1000)
    send(engine, {"n": 0}, ts=later)
    send(engine, {"n": 1})
    engine.drain()
    assert ran(engine) == [1]
    engine.advance(hours=1)
    assert ran(engine) == [1, 0]


def test_changed_throttle_counts_from_the_next_claim_or_timer(db: Database) -> None:
    engine = Engine(db, sequence(), throttle={"limit": 1, "period": "10s"})
    send(engine, *({"n": n} for n in range(9)))
    engine.drain()
    engine.register(throttle={"limit": 4, "period": "10s"})
    engine.advance(seconds=10)
    assert len(ran(engine)) == 5
    engine.register()
    engine.advance(seconds=10)
    assert len(ran(engine)) == 9


def test_exact_under_threads(db: Database) -> None:
    engine = Engine(db, sequence(), throttle={"limit": 5, "period": "10s"})
    for n in range(24):
        send(engine, {"n": n})
    hints, engine.hinted.hints = engine.hinted.hints, []
    together(8, lambda n: [run_item.work(engine.ctx, [i]) for _, i in hints[n::8]] and None)
    assert len(ran(engine)) == 5
    for seconds in range(2, 11, 2):
        engine.now += timedelta(seconds=2)
        with db.transaction() as tx:
            due = [item for item, _ in backlog.due(tx, engine.now, 99, engine.now)]
        together(4, lambda _, due=due: run_item.work(engine.ctx, due) and None)
        engine.drain()
        assert len(ran(engine)) == 5 + seconds // 2


def test_line_of_a_paused_function_waits(db: Database) -> None:
    engine = Engine(db, sequence(), throttle={"limit": 1, "period": "10s"})
    send(engine, *({"n": n} for n in range(3)))
    engine.drain()
    pause_function.pause(engine.ctx, "app-fn", pause_function.HOLD)
    engine.now += timedelta(seconds=1)
    send(engine, {"n": 3})
    for _ in range(8):
        engine.advance(seconds=10)
    assert ran(engine) == [0]
    pause_function.resume(engine.ctx, "app-fn")
    engine.advance(seconds=5)
    assert ran(engine) == [0, 1]  # not all that would have been due
    engine.advance(seconds=10)
    engine.advance(seconds=10)
    assert ran(engine) == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_order_of_hints(db: Database, seed: int) -> None:
    """Hints come late, twice, in any order or never: no start is early and none is lost."""
    chance = random.Random(seed)
    engine = Engine(db, sequence(), throttle={"limit": 2, "period": "4s"})
    sent, starts = 0, []
    for second in range(60):
        for _ in range(chance.randrange(3) if second < 20 else 0):
            send(engine, {"n": sent})
            sent += 1
        if chance.random() < 0.7:
            with db.transaction() as tx:
                for item_id, kind in backlog.due(tx, engine.now, 20, engine.now):
                    engine.hinted.hints.append((kind, item_id))
        hints, engine.hinted.hints = engine.hinted.hints, []
        chance.shuffle(hints)
        for _, item_id in hints:
            if chance.random() < 0.8:
                run_item.work(engine.ctx, [item_id])
        starts += [second] * (len(ran(engine)) - len(starts))
        engine.now += timedelta(seconds=1)
    for _ in range(3):
        engine.advance(seconds=60)
    assert sorted(ran(engine)) == list(range(sent))
    for first, third in zip(starts, starts[2:], strict=False):
        assert third - first >= 2
    assert states(db) == []


def test_rerun_waits_in_line(db: Database) -> None:
    engine = Engine(db, sequence(), throttle={"limit": 1, "period": "1h", "key": "event.data.k"})
    run_id = engine.start(data={"k": "a"})
    engine.drain()
    again = rerun.rerun(engine.ctx, run_id)
    engine.drain()
    assert engine.run(again)["status"] == "queued"
    engine.advance(hours=1)
    assert engine.run(again)["status"] == "completed"
