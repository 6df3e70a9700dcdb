"""Debounce runs the last event once, when no other event has come for the period."""

from datetime import timedelta
from typing import Any

import pytest

from inngest_py.domain.flow.debounce import BUFFER
from inngest_py.engine.runtime.context import Leases
from inngest_py.engine.work import claims, run_item
from inngest_py.storage.db.session import Database
from inngest_py.storage.queue import backlog, leases
from tests.engine.flow import Statements, ran, rows, send, statuses, together
from tests.engine.harness import Engine, sequence

DEBOUNCE: dict[str, Any] = {"debounce": {"period": "10s"}}


def test_last_event_runs_after_the_period(db: Database) -> None:
    engine = Engine(db, sequence(), **DEBOUNCE)
    for n in range(4):
        send(engine, {"n": n})
        engine.advance(seconds=6)
    events = send(engine, {"n": 4}, {"n": 5})
    engine.advance(seconds=11)
    assert statuses(engine) == []
    engine.advance(seconds=0.05)
    assert ran(engine) == [5]
    assert engine.sdk.requests[0]["event"]["id"] == events[1].id
    assert rows(db, "SELECT key FROM debounces") == []
    assert rows(db, "SELECT id FROM queue_items") == []
    send(engine, {"n": 6})
    engine.advance(seconds=12)
    assert ran(engine) == [5, 6]


def test_the_buffer_is_that_of_the_reference() -> None:
    assert timedelta(seconds=1) < BUFFER < timedelta(seconds=1.1)


def test_an_older_event_is_ignored(db: Database) -> None:
    engine = Engine(db, sequence(), **DEBOUNCE)
    ms = int(engine.now.timestamp() * 1000)
    send(engine, {"n": 0}, ts=ms)
    engine.advance(seconds=9)
    send(engine, {"n": 1}, ts=ms - 1)
    engine.advance(seconds=2.05)
    assert ran(engine) == [0]


def test_the_timeout_bounds_restarting(db: Database) -> None:
    engine = Engine(db, sequence(), debounce={"period": "10s", "timeout": "25s"})
    for n in range(5):
        send(engine, {"n": n})
        engine.advance(seconds=6)
    assert ran(engine) == [4]


def test_keys(db: Database) -> None:
    engine = Engine(db, sequence(), debounce={"period": "10s", "key": "event.data.k"})
    sent = [{"k": "a", "n": 1}, {"k": "b", "n": 2}, {"n": 3}, {"k": "a", "n": 4}]
    send(engine, *sent)
    engine.advance(seconds=12)
    assert sorted(ran(engine)) == [2, 3, 4]


def test_a_key_that_fails_has_one_bucket(db: Database) -> None:
    engine = Engine(db, sequence(), debounce={"period": "10s", "key": "int('x')"})
    send(engine, {"n": 1}, {"n": 2})
    engine.advance(seconds=12)
    assert ran(engine) == [2]


def test_rate_limit_counts_before_the_debounce(db: Database) -> None:
    limit = {"rateLimit": {"limit": 1, "period": "1h"}}
    engine = Engine(db, sequence(), **DEBOUNCE, **limit)
    send(engine, {"n": 0}, {"n": 1})  # the second is dropped before it is parked
    engine.advance(seconds=12)
    assert ran(engine) == [0]


def test_a_shorter_period_counts_from_the_next_event(db: Database) -> None:
    engine = Engine(db, sequence(), debounce={"period": "1h"})
    send(engine, {"n": 0})
    engine.register(debounce={"period": "2s"})
    engine.advance(seconds=10)
    assert ran(engine) == []
    send(engine, {"n": 1})
    engine.advance(seconds=3.05)
    assert ran(engine) == [1]


@pytest.mark.parametrize("when", ["claimed", "before"])
def test_a_crash_loses_nothing_and_doubles_nothing(db: Database, when: str) -> None:
    engine = Engine(db, sequence(), **DEBOUNCE)
    send(engine, {"n": 0})
    engine.now += timedelta(seconds=12)
    with db.transaction() as tx:
        (timer,) = [item for item, _ in backlog.due(tx, engine.now, 9, engine.now)]
    if when == "claimed":
        claims.claim(engine.ctx, [timer])
        engine.ctx.leases = Leases()
    send(engine, {"n": 1})  # comes while a dead worker holds the timer
    engine.now += timedelta(minutes=2)
    with db.transaction() as tx:
        leases.free_lapsed(tx, engine.now, 10)
    engine.advance(seconds=0)
    engine.advance(seconds=12)
    assert ran(engine) == [1]


def test_events_that_race_with_the_timer(db: Database) -> None:
    """Whatever the order, the last event is run and none is run twice."""
    engine = Engine(db, sequence(), debounce={"period": "1s"})
    for round_ in range(10):
        send(engine, {"n": round_ * 10})
        engine.now += timedelta(seconds=3)
        with db.transaction() as tx:
            due = [item for item, _ in backlog.due(tx, engine.now, 9, engine.now)]

        def act(number: int, due: list[str] = due, base: int = round_ * 10) -> None:
            if number < 2:
                run_item.work(engine.ctx, due)
            else:
                send(engine, {"n": base + number})

        together(4, act)
        engine.drain()
        engine.advance(seconds=3)
        left = rows(db, "SELECT count(*) FROM debounces")[0][0]
        assert left == 0
        seen = [n for n in ran(engine) if n // 10 == round_]
        assert seen[-1] % 10 in (2, 3)
        assert len(set(ran(engine))) == len(ran(engine))


def test_number_of_statements(db: Database) -> None:
    engine = Engine(db, sequence(), **DEBOUNCE)
    send(engine, {"n": 0})
    with Statements(db) as parked:
        send(engine, *({"n": n} for n in range(100)))
    assert len([one for one in parked.seen if "debounces" in one]) == 2
    assert not [one for one in parked.seen if "queue_items" in one or "INTO runs" in one]
