"""Events of a time span replayed to a function: each once, as its triggers say."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest

from inngest_py.domain.errors import Invalid, NotFound
from inngest_py.domain.operations import operations as rules
from inngest_py.domain.operations import pacing
from inngest_py.domain.runs.rerun import NewData
from inngest_py.domain.runs.retention import Keep
from inngest_py.engine.admin.pause_function import pause
from inngest_py.engine.admin.rerun import rerun
from inngest_py.engine.operations import manage, selecting, walk
from inngest_py.engine.runtime.context import Tuning
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries.operations import operation_list
from tests.engine import flow
from tests.engine.harness import Engine, sequence

NEW = "app-fn"


def replay(engine: Engine, since: Any, function: str = NEW, **more: Any) -> str:
    selection = {"function": function, "since": since.isoformat(), **more}
    body = {"kind": "replay_events", "selection": selection}
    made = manage.begin(engine.ctx, rules.parse(body, engine.now))
    while walk.next_chunk(engine.ctx):
        pass
    engine.drain()
    return made


def row(engine: Engine, made: str) -> Any:
    with engine.ctx.db.reading() as tx:
        return operation_list.get(tx, made)


def sent(engine: Engine) -> list[Any]:
    return [request["event"] for request in engine.sdk.requests]


def test_events_before_the_function_existed(db: Database) -> None:
    engine = Engine(db, sequence(), triggers=[{"event": "other"}])
    flow.send(engine, {"n": 0}, name="a/b")
    engine.now += timedelta(hours=1)
    since = engine.now
    kept = [*flow.send(engine, {"n": 1}, name="a/b"), *flow.send(engine, {"n": 2}, name="a/b")]
    flow.send(engine, {"n": 3}, name="a/c")
    engine.now += timedelta(hours=1)
    until = engine.now
    flow.send(engine, {"n": 4}, name="a/b")
    engine.now += timedelta(hours=1)
    assert flow.statuses(engine) == []
    engine.register(triggers=[{"event": "a/b"}])
    made = replay(engine, since, until=until.isoformat())
    found = row(engine, made)
    assert found["name"] == "Replay 2 events to app-fn"
    assert (found["state"], found["succeeded"], found["note"]) == ("completed", 2, None)
    assert sorted(event["data"]["n"] for event in sent(engine)) == [1, 2]
    assert sorted(event["id"] for event in sent(engine)) == sorted(one.id for one in kept)
    assert flow.statuses(engine) == ["completed"] * 2
    with db.reading() as tx:
        results = operation_list.results(tx, made, first=10).rows
    assert [one["id"] for one in results] == sorted(one.id for one in kept)
    assert {engine.run(one["run_id"])["event_id"] for one in results} == {one.id for one in kept}


def test_a_chunk_looks_at_many_events_and_at_none_before_the_span(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks of two items, which read windows of ten events."""
    monkeypatch.setattr(pacing, "MOST_AT_ONCE", 2)
    monkeypatch.setattr(selecting, "_EVENT_WINDOW", 10)
    engine = Engine(db, sequence(), triggers=[{"event": "other"}])
    flow.send(engine, *[{"n": -1} for _ in range(30)], name="a/b")
    engine.now += timedelta(hours=2)
    since = engine.now
    kept = flow.send(engine, *[{"n": n} for n in range(9)], name="a/b")
    engine.now += timedelta(hours=1)
    engine.register(triggers=[{"event": "a/b", "expression": "event.data.n >= 6"}])
    chunks: list[int] = []
    monkeypatch.setattr(walk, "next_events", _noting(walk.next_events, chunks))
    found = row(engine, replay(engine, since, until=engine.now.isoformat()))
    assert (found["state"], found["succeeded"]) == ("completed", 3)
    assert chunks == [2, 1]
    assert sorted(event["id"] for event in sent(engine)) == sorted(one.id for one in kept[6:])


def _noting(find: Callable[..., selecting.Found], sizes: list[int]) -> Callable[..., Any]:
    """Note how many items each chunk has."""

    def found(*given: Any) -> selecting.Found:
        chunk = find(*given)
        sizes.append(len(chunk.ids))
        return chunk

    return found


def test_the_condition_of_the_trigger_and_wildcards(db: Database) -> None:
    engine = Engine(db, sequence(), triggers=[{"event": "other"}])
    since = engine.now
    for name in ("shop/paid", "shop/sent", "x/paid"):
        flow.send(engine, {"n": 1}, {"n": 2}, name=name)
    engine.now += timedelta(seconds=1)
    engine.register(triggers=[{"event": "shop/*", "expression": "event.data.n > 1"}])
    assert row(engine, replay(engine, since, events=["shop/paid"]))["succeeded"] == 1
    assert row(engine, replay(engine, since, events=["shop/*", "x/*"]))["succeeded"] == 2
    assert {(event["name"], event["data"]["n"]) for event in sent(engine)} == {
        ("shop/paid", 2),
        ("shop/sent", 2),
    }
    with pytest.raises(Invalid, match="app-fn is started by shop/\\*: give events that start it"):
        replay(engine, since, events=["x/paid"])
    with pytest.raises(NotFound, match="function nobody does not exist"):
        replay(engine, since, function="nobody")


def test_ids_of_events_and_rate_limits_do_not_count(db: Database) -> None:
    limit = {"limit": 1, "period": "1h"}
    engine = Engine(db, sequence(), rateLimit=limit)
    since = engine.now
    flow.send(engine, {"n": 1}, id="order-1")
    flow.send(engine, {"n": 2}, id="order-2")  # beyond the limit: it starts nothing
    engine.drain()
    assert flow.statuses(engine) == ["completed"]
    engine.now += timedelta(seconds=1)
    assert row(engine, replay(engine, since))["succeeded"] == 2
    assert sorted(event["id"] for event in sent(engine)) == ["order-1", "order-1", "order-2"]
    flow.send(engine, {"n": 1}, id="order-1")  # a sender's retry starts nothing, as before
    engine.drain()
    assert flow.statuses(engine) == ["completed"] * 3


def test_singletons_hold_and_pauses_skip(db: Database) -> None:
    engine = Engine(db, sequence(), singleton={"mode": "skip"}, triggers=[{"event": "other"}])
    since = engine.now
    flow.send(engine, {"n": 1}, {"n": 2}, name="a/b")
    engine.now += timedelta(seconds=1)
    engine.register(singleton={"mode": "skip"}, triggers=[{"event": "a/b"}])
    found = row(engine, replay(engine, since))
    assert (found["succeeded"], found["skipped"]) == (1, 1)
    pause(engine.ctx, NEW, "skip")
    made = replay(engine, since)
    assert row(engine, made)["skipped"] == 2
    with db.reading() as tx:
        assert [one["reason"] for one in operation_list.reasons(tx, made)] == ["FunctionPaused"]


def test_the_event_of_a_rerun_with_other_data_is_left_out(db: Database) -> None:
    engine = Engine(db, sequence())
    since = engine.now
    old = engine.start(data={"n": 1})
    engine.drain()
    rerun(engine.ctx, old, NewData({"n": 2}))
    engine.drain()
    engine.now += timedelta(seconds=1)
    replay(engine, since)
    assert [orjson.dumps(event["data"]["n"]) for event in sent(engine)] == [b"1", b"2", b"1"]


def test_events_that_may_be_deleted_are_told(db: Database) -> None:
    engine = Engine(db, sequence())
    engine.ctx.tuning = Tuning(keep=Keep(age=timedelta(days=7)))
    found = row(engine, replay(engine, engine.now - timedelta(days=8)))
    gone = (engine.now - timedelta(days=7)).strftime("%Y-%m-%d %H:%M:%S UTC")
    assert found["note"].startswith(f"Events that came before {gone} may be missing")
    assert row(engine, replay(engine, engine.now - timedelta(days=6)))["note"] is None
