"""Event batches: one run for many events, and every event in exactly one batch."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from inngest_py.domain.flow import batching
from inngest_py.domain.values.ids import is_ulid
from inngest_py.engine.admin import rerun
from inngest_py.engine.runtime.context import Leases
from inngest_py.engine.work import claims, run_item
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import run_list
from inngest_py.storage.queue import backlog, leases
from tests.engine.flow import Statements, rows, send, statuses, together
from tests.engine.harness import Engine, sequence

BATCH: dict[str, Any] = {"batchEvents": {"maxSize": 3, "timeout": "5s"}}


def batched(engine: Engine) -> list[list[Any]]:
    """List `data.n` of the events of each run that has called."""
    return [
        [event["data"].get("n") for event in request["events"]] for request in engine.sdk.requests
    ]


def test_flushed_by_number_and_by_time(db: Database) -> None:
    engine = Engine(db, sequence(), **BATCH)
    send(engine, *({"n": n} for n in range(8)))
    engine.drain()
    assert sorted(batched(engine)) == [[0, 1, 2], [3, 4, 5]]
    assert engine.sdk.requests[0]["event"] == engine.sdk.requests[0]["events"][0]
    engine.advance(seconds=4.9)
    assert len(batched(engine)) == 2
    engine.advance(seconds=0.1)
    assert batched(engine)[2] == [6, 7]
    assert rows(db, "SELECT key FROM batch_buckets") == []
    assert rows(db, "SELECT id FROM queue_items") == []


def test_timer_that_is_not_needed_is_deleted(db: Database) -> None:
    engine = Engine(db, sequence(), **BATCH)
    send(engine, {"n": 0}, {"n": 1})
    assert len(rows(db, "SELECT id FROM queue_items WHERE kind = 'batch'")) == 1
    send(engine, {"n": 2}, {"n": 3})
    engine.drain()
    assert batched(engine) == [[0, 1, 2]]
    engine.advance(seconds=5)
    assert batched(engine) == [[0, 1, 2], [3]]


def test_flushed_by_bytes(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(db, sequence(), batchEvents={"maxSize": 100, "timeout": "1h"})
    send(engine, *({"n": n, "x": "x" * 3_000_000} for n in range(3)))
    assert statuses(engine) == []
    send(engine, {"n": 3, "x": "x" * 3_000_000})
    engine.drain()
    assert 3 * 3_000_000 < batching.MAX_BYTES < 4 * 3_000_000
    (request,) = engine.sdk.requests  # too large to be sent: the SDK fetches it
    assert (request["use_api"], request["ctx"]["use_api"], request["events"]) == (True, True, [])
    assert request["event"]["data"]["n"] == 0


def test_keys_and_conditions(db: Database) -> None:
    rule = BATCH["batchEvents"] | {"key": "event.data.k", "if": "event.data.n < 10"}
    engine = Engine(db, sequence(), batchEvents=rule)
    send(engine, *({"n": n, "k": n % 2} for n in range(4)), {"n": 10, "k": 0}, {"n": "x", "k": 0})
    engine.drain()
    assert sorted(map(str, batched(engine))) == ["['x']", "[10]"]
    assert all(row[0] is None for row in rows(db, "SELECT batch_id FROM runs"))
    engine.advance(seconds=5)
    assert sorted(batched(engine)[2:]) == [[0, 2], [1, 3]]


def test_an_event_that_a_client_repeats_is_in_one_batch(db: Database) -> None:
    """A bucket remembers an event's id for half an hour, even when its batch has run."""
    engine = Engine(db, sequence(), batchEvents={"maxSize": 3, "timeout": "1h"})
    send(engine, {"n": 0}, {"n": 1}, id="same")
    send(engine, {"n": 2}, id="same")
    send(engine, {"n": 3})
    assert statuses(engine) == []
    engine.advance(minutes=31)
    send(engine, {"n": 4}, id="same")
    engine.drain()
    assert batched(engine) == [[0, 3, 4]]
    engine.advance(minutes=29)
    send(engine, {"n": 5}, id="same")  # that batch has run
    engine.advance(minutes=2)
    send(engine, {"n": 6}, id="same")
    send(engine, {"n": 7}, id="other")
    engine.advance(hours=1)
    assert batched(engine)[1:] == [[6, 7]]


def test_one_id_in_two_buckets_is_in_both(db: Database) -> None:
    rule = {"maxSize": 10, "timeout": "5s", "key": "event.data.k"}
    engine = Engine(db, sequence(), batchEvents=rule)
    send(engine, {"n": 0, "k": 0}, {"n": 1, "k": 1}, {"n": 2, "k": 1}, id="same")
    engine.advance(seconds=5)
    assert sorted(batched(engine)) == [[0], [1]]


def test_a_future_event_waits_for_the_batch_only(db: Database) -> None:
    engine = Engine(db, sequence(), **BATCH)
    later = int((engine.now + timedelta(hours=1)).timestamp() * 1000)
    send(engine, *({"n": n} for n in range(3)), ts=later)
    engine.drain()
    assert batched(engine) == [[0, 1, 2]]


def test_run_and_events_of_a_batch_show_all_its_events(db: Database) -> None:
    engine = Engine(db, sequence("a"), **BATCH)
    sent = send(engine, *({"n": n} for n in range(3)))
    engine.drain()
    with db.reading() as tx:
        found = [run_list.of_event(tx, event.id) for event in sent]
    (run_id,) = {row["id"] for listed in found for row in listed}
    run = engine.run(run_id)
    assert is_ulid(run["batch_id"])
    assert run["event_id"] == sent[0].id
    ((payload,),) = rows(db, "SELECT payload FROM events WHERE name = 'inngest/function.finished'")
    data = orjson.loads(payload)["data"]
    assert [event["data"]["n"] for event in data["events"]] == [0, 1, 2]
    assert data["event"]["data"]["n"] == 0
    again = rerun.rerun(engine.ctx, run_id)
    engine.drain()
    assert engine.run(again)["batch_id"] == run["batch_id"]
    assert batched(engine)[-1] == [0, 1, 2]


@pytest.mark.parametrize("when", ["claimed", "before"])
def test_a_crash_loses_nothing_and_doubles_nothing(db: Database, when: str) -> None:
    engine = Engine(db, sequence(), **BATCH)
    send(engine, {"n": 0})
    engine.now += timedelta(seconds=6)
    with db.transaction() as tx:
        (timer,) = [item for item, _ in backlog.due(tx, engine.now, 9, engine.now)]
    if when == "claimed":
        claims.claim(engine.ctx, [timer])
        engine.ctx.leases = Leases()
    send(engine, {"n": 1})
    engine.now += timedelta(minutes=2)
    with db.transaction() as tx:
        leases.free_lapsed(tx, engine.now, 10)
    engine.advance(seconds=0)
    assert batched(engine) == [[0, 1]]
    assert rows(db, "SELECT id FROM queue_items") == []


def test_every_event_is_in_one_batch(db: Database) -> None:
    """Events and timers that race for the same bucket."""
    engine = Engine(db, sequence(), batchEvents={"maxSize": 7, "timeout": "1s"})
    for round_ in range(5):
        with db.transaction() as tx:
            due = [item for item, _ in backlog.due(tx, engine.now, 9, engine.now)]

        def act(number: int, due: list[str] = due, base: int = round_ * 1000) -> None:
            if number < 2:
                run_item.work(engine.ctx, due)
            for n in range(5):
                send(engine, *({"n": base + number * 100 + n * 10 + i} for i in range(3)))

        together(8, act)
        engine.drain()
        engine.now += timedelta(seconds=1)
    engine.advance(seconds=2)
    seen = [n for batch in batched(engine) for n in batch]
    assert len(seen) == len(set(seen)) == 5 * 8 * 15
    assert max(map(len, batched(engine))) == 7


def test_number_of_statements(db: Database) -> None:
    engine = Engine(db, sequence(), batchEvents={"maxSize": 1000, "timeout": "1h"})
    send(engine, {"n": 0})
    with Statements(db) as gathered:
        send(engine, *({"n": n} for n in range(100)))
    assert len([one for one in gathered.seen if "batch_buckets" in one]) == 2
    assert len([one for one in gathered.seen if "batch_events" in one]) == 1
    assert not [one for one in gathered.seen if "queue_items" in one or "INTO runs" in one]
