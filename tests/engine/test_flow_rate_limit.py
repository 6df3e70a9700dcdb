"""Rate limits and idempotency expressions drop events, exactly."""

from datetime import timedelta

import orjson
import pytest

from inngest_py.domain.flow import gcra
from inngest_py.domain.flow.gcra import Rate
from inngest_py.domain.functions.function_config import RateLimit
from inngest_py.domain.reply.read import Reply
from inngest_py.engine.intake import publish
from inngest_py.engine.upkeep import leftovers
from inngest_py.storage.db.session import Database
from tests.engine.flow import Statements, ran, rows, send, statuses, together
from tests.engine.harness import Engine, sequence
from tests.factories import op, reply, step

LIMIT = {"rateLimit": {"limit": 20, "period": "60s"}}


def test_events_beyond_the_rate_leave_no_run(db: Database) -> None:
    engine = Engine(db, sequence(), **LIMIT)
    send(engine, *({"n": n} for n in range(10)))
    engine.drain()
    assert sorted(ran(engine)) == [0, 1, 2]
    engine.advance(seconds=2.9)
    send(engine, {"n": 10})
    engine.advance(seconds=0.1)
    send(engine, {"n": 11}, {"n": 12})
    engine.drain()
    assert ran(engine)[3:] == [11]
    assert statuses(engine) == ["completed"] * 4
    assert len(rows(db, "SELECT id FROM events WHERE name = 'a/b'")) == 13


@pytest.mark.parametrize(
    ("key", "sent", "made"),
    [
        ("event.data.k", [{"k": "a"}, {"k": "a"}, {"k": "b"}, {"k": 1}, {"k": "1"}], 3),
        ("event.data.k", [{"k": False}, {"k": False}, {}, {}], 4),  # false: not limited
        ("int('x')", [{}, {}], 0),  # an error: not run
        ("'all'", [{}, {}], 1),
    ],
)
def test_keys_and_idempotency(db: Database, key: str, sent: list[dict], made: int) -> None:
    engine = Engine(db, sequence(), idempotency=key)
    send(engine, *sent)
    assert len(statuses(engine)) == made
    engine.advance(hours=23)
    send(engine, *sent)
    engine.advance(hours=1, seconds=1)
    before = len(statuses(engine))
    send(engine, *sent)
    assert len(statuses(engine)) == before + made


def test_a_senders_retry_is_not_charged(db: Database) -> None:
    engine = Engine(db, sequence(), rateLimit={"limit": 10, "period": "1h"})
    event = engine.event()
    for _ in range(3):
        publish.accept(engine.ctx, [event])
    send(engine, {})
    assert len(statuses(engine)) == 2
    send(engine, {})
    assert len(statuses(engine)) == 2


def test_exact_under_threads(db: Database) -> None:
    engine = Engine(db, sequence(), rateLimit={"limit": 100, "period": "60s"})
    admitted, arrival = 0, 0
    rate = Rate.of_rate_limit(RateLimit(100, timedelta(seconds=60)))
    for _ in range(4):
        together(8, lambda number: send(engine, {"n": number}, {"n": number}) and None)
        room = gcra.room(rate, arrival, gcra.to_ns(engine.now), 16)
        arrival = gcra.charge(rate, arrival, gcra.to_ns(engine.now), room)
        admitted += room
        assert len(statuses(engine)) == admitted
        engine.now += timedelta(seconds=2)
    assert 11 < admitted < 64


def test_bursts_of_keys_in_different_orders_do_not_deadlock(db: Database) -> None:
    engine = Engine(db, sequence(), idempotency="event.data.k")
    keys = [{"k": f"k{n}"} for n in range(20)]
    together(8, lambda n: send(engine, *(keys if n % 2 else keys[::-1])) and None)
    assert len(statuses(engine)) == 20


def test_number_of_statements(db: Database) -> None:
    engine = Engine(db, sequence())
    with Statements(db) as without:
        send(engine, {}, {})
    engine.register(rateLimit={"limit": 1000, "period": "1m"})
    send(engine, {})  # reads the catalogue
    with Statements(db) as limited:
        send(engine, {}, {})
    tables = ("buckets", "debounces", "batch", "singleton", "run_keys")
    assert not [one for one in without.seen if any(name in one for name in tables)]
    assert len(limited.seen) == len(without.seen) + 1  # two more, less the reading of functions


def test_idle_buckets_are_deleted(db: Database) -> None:
    engine = Engine(db, sequence(), rateLimit={"limit": 1, "period": "60s"})
    send(engine, {})
    leftovers.forget_buckets(engine.ctx)
    assert len(rows(db, "SELECT key FROM buckets")) == 1
    engine.advance(seconds=61)
    leftovers.forget_buckets(engine.ctx)
    assert rows(db, "SELECT key FROM buckets") == []
    send(engine, {}, {})
    assert len(statuses(engine)) == 2


def test_invoker_gets_an_error(db: Database) -> None:
    def script(request: dict, target: str) -> Reply:
        if not request["steps"]:
            opts = {"function_id": "app-fn", "payload": {"data": {}}}
            return reply(206, [op("InvokeFunction", "call", opts=opts)], x_inngest_req_version="2")
        return reply(200, request["steps"][step("call")])

    engine = Engine(db, script, rateLimit={"limit": 1, "period": "1h"})
    run_id = engine.start()
    engine.drain()
    assert statuses(engine) == ["completed"]
    assert orjson.loads(engine.run(run_id)["output"]) == {
        "error": {"message": "invoked function is rate limited", "name": "Error"}
    }
