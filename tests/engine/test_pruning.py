"""Pruning deletes ended runs with all that belongs to them, and nothing else."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from inngest_py.domain.errors import Conflict, NotFound
from inngest_py.domain.runs.metadata import Scope, Target, Update
from inngest_py.domain.runs.retention import Keep
from inngest_py.engine.admin import pause_function, rerun
from inngest_py.engine.intake import invoke
from inngest_py.engine.runtime.context import utc_now
from inngest_py.engine.upkeep.pruning import Pruning
from inngest_py.engine.work import metadata, run_item
from inngest_py.storage.db.session import Database
from inngest_py.storage.events import events
from inngest_py.storage.operations import reruns
from inngest_py.storage.schema.tables import Base
from tests.engine import waiting
from tests.engine.flow import rows, send, together
from tests.engine.harness import Engine, prepared, sequence
from tests.factories import op, reply

DAY = timedelta(days=1)
NO_STATE = {"alembic_version", "apps", "functions", "meta", "workers"}


def keep(engine: Engine, **bounds: Any) -> Pruning:
    engine.ctx.tuning = replace(engine.ctx.tuning, keep=Keep(**bounds))
    return Pruning()


def prune(engine: Engine, service: Pruning) -> None:
    """Run batches until the round is over."""
    for _ in range(1000):
        service.run_once(engine.ctx)
        if service.rest is None:
            return
    raise AssertionError("a round never ended")


def ids(db: Database, table: str = "runs") -> list[str]:
    return [row[0] for row in rows(db, f"SELECT id FROM {table} ORDER BY id")]


def filled(db: Database) -> set[str]:
    """Name the tables that hold state."""
    names = [t.name for t in Base.metadata.sorted_tables if t.name not in NO_STATE]
    return {name for name in names if rows(db, f"SELECT count(*) FROM {name}")[0][0]}


def everything(request: dict[str, Any], target: str) -> Any:
    """Answer with a step, then a deferred function, then an error, then an end."""
    version = {"x_inngest_req_version": "2"}
    if not request["steps"]:
        later = op("DeferAdd", "later", opts={"fn_slug": "app-later", "input": {"n": 1}})
        return reply(206, [op("StepRun", "a"), later], **version)
    if request["ctx"]["attempt"] == 0:
        return reply(500, {"name": "E", "message": "once more"})
    return reply(200, {})


def test_nothing_is_left_of_a_run(db: Database) -> None:
    engine = Engine(db, everything, batchEvents={"maxSize": 2, "timeout": "5s"})
    service = keep(engine, age=10 * DAY)
    send(engine, {"n": 1}, {"n": 2})
    engine.drain()
    engine.advance(seconds=6)
    (run_id,) = ids(db)
    update = Update(kind="userland.x", op="merge", values={"a": 1})
    metadata.annotate(engine.ctx, run_id, [(Target(Scope.RUN), update)])
    assert engine.run(run_id)["status"] == "completed"
    theirs = {"runs", "steps", "attempts", "defers", "run_metadata", "batch_events", "events"}
    assert filled(db) == theirs
    engine.advance(days=9.9)
    prune(engine, service)
    assert filled(db) == theirs
    engine.advance(days=0.2)
    prune(engine, service)
    assert filled(db) == set()


def test_runs_that_have_not_finished_stay(db: Database) -> None:
    engine = Engine(db, waiting.waits(op("Sleep", "nap", name="300d")))
    service = keep(engine, age=DAY)
    run_id = engine.start()
    engine.drain()
    engine.advance(days=200)
    prune(engine, service)
    assert ids(db) == [run_id]
    assert ids(db, "events") == [engine.run(run_id)["event_id"]]


@pytest.mark.parametrize(
    ("bounds", "left"),
    [
        ({"count": 3}, 3),
        ({"count": 5}, 5),
        ({"count": 9}, 5),
        ({"age": timedelta(hours=48), "count": 4}, 2),
        ({"age": timedelta(hours=96), "count": 1}, 1),
        ({}, 5),
    ],
)
def test_the_newest_stay(db: Database, bounds: dict[str, Any], left: int) -> None:
    engine = Engine(db, sequence("a"))
    service = keep(engine, **bounds)
    made = []
    for _ in range(5):
        made.append(engine.start())
        engine.drain()
        engine.advance(hours=20)
    prune(engine, service)
    assert ids(db) == made[len(made) - left :]


def test_pruning_by_count_keeps_a_result_for_a_moment(db: Database) -> None:
    engine = Engine(db, sequence())
    service = keep(engine, count=1)
    made = [engine.start(), engine.start()]
    engine.drain()
    prune(engine, service)
    assert set(ids(db)) == set(made)
    engine.advance(seconds=11)
    last = engine.start()
    engine.drain()
    prune(engine, service)
    assert ids(db) == [last]


def test_ids_of_events_are_kept_longer_than_their_runs(db: Database) -> None:
    """An event's id starts nothing again for 24 hours (events.md §5.2), and a seed stays used."""
    engine = Engine(db, sequence())
    service = keep(engine, age=timedelta(minutes=1))
    engine.start(id="own")
    invoke.invoke(engine.ctx, "app-fn", {"data": {}}, 10, idempotency_key="k")
    engine.drain()
    engine.advance(hours=23)
    prune(engine, service)
    assert ids(db) == []
    assert sorted(row[0] for row in rows(db, "SELECT name FROM events")).count("a/b") == 1
    assert rows(db, "SELECT id FROM events WHERE name = 'inngest/function.invoked'") != []
    send(engine, {}, id="own")
    with pytest.raises(Conflict):
        invoke.invoke(engine.ctx, "app-fn", {"data": {}}, 10, idempotency_key="k")
    engine.drain()
    assert ids(db) == []
    engine.advance(hours=2)
    send(engine, {}, id="own")
    engine.drain()
    assert len(ids(db)) == 1
    engine.advance(hours=25)
    prune(engine, service)
    assert filled(db) == {"run_keys"}  # these have a service of their own


def test_events_without_runs_are_deleted_by_age(db: Database) -> None:
    engine = Engine(db, sequence())
    service = keep(engine, age=2 * DAY)
    for _ in range(3):
        send(engine, {}, name="nobody/listens")
        engine.advance(days=1)
    prune(engine, service)
    assert len(ids(db, "events")) == 2


def test_a_sweep_begins_anew(db: Database) -> None:
    """An event that was in use when it was read is deleted after its last run is deleted."""
    engine = Engine(db, sequence())
    service = keep(engine, age=DAY)
    run_id = engine.start()
    engine.drain()
    engine.advance(hours=20)
    again = rerun.rerun(engine.ctx, run_id)
    engine.drain()
    engine.advance(hours=10)
    prune(engine, service)
    assert ids(db) == [again]
    assert engine.run(again)["event_id"] in ids(db, "events")
    engine.advance(hours=20)
    prune(engine, service)
    assert ids(db) == []
    engine.advance(hours=20)
    prune(engine, service)
    assert filled(db) == set()


def test_open_batch_keeps_its_events(db: Database) -> None:
    engine = Engine(db, sequence(), batchEvents={"maxSize": 2, "timeout": "60d"})
    service = keep(engine, age=DAY)
    send(engine, {"n": 1})
    engine.register(debounce={"period": "7d"}, id="app-late")
    engine.advance(days=3)
    prune(engine, service)
    assert len(ids(db, "events")) == 1
    engine.register(batchEvents={"maxSize": 2, "timeout": "60d"})
    send(engine, {"n": 2})
    engine.drain()
    assert [e["data"]["n"] for e in engine.sdk.requests[0]["events"]] == [1, 2]


def test_a_debounced_event_stays(db: Database) -> None:
    engine = Engine(db, sequence(), debounce={"period": "7d"})
    service = keep(engine, age=DAY)
    send(engine, {"n": 1})
    engine.advance(days=3)
    prune(engine, service)
    engine.advance(days=5)
    assert engine.sdk.requests[0]["event"]["data"] == {"n": 1}


CHILD = {"app-parent": "a/parent", "app-child": "a/child"}


@pytest.mark.parametrize("paused", [False, True])
def test_parent_gets_the_result_of_a_deleted_child(db: Database, paused: bool) -> None:
    """A paused parent continues late: the event with its child's result must still be there."""
    parent = waiting.waits(waiting.invoke())
    child = waiting.returning(200, {"from": "child"})
    scripts = {"a/parent": parent, "inngest/function.invoked": child}
    engine = Engine(db, waiting.by_event(scripts))
    waiting.add_functions(engine, CHILD)
    service = keep(engine, age=DAY)
    run_id = engine.start(name="a/parent")
    (hint,), engine.hinted.hints = engine.hinted.hints, []
    run_item.work(engine.ctx, [hint[1]])  # the parent invokes the child
    function = engine.run(run_id)["function_id"]
    if paused:
        pause_function.pause(engine.ctx, function)
    engine.drain()
    engine.advance(days=3)
    prune(engine, service)
    assert ids(db) == ([run_id] if paused else [])
    if paused:
        pause_function.resume(engine.ctx, function)
        engine.advance(seconds=3)
        assert engine.run(run_id)["output"] == '[{"data":{"from":"child"}}]'


def test_deleted_runs_are_not_found(db: Database) -> None:
    engine = Engine(db, sequence())
    service = keep(engine, age=DAY)
    run_id = engine.start()
    engine.drain()
    engine.advance(days=2)
    prune(engine, service)
    with pytest.raises(NotFound):
        rerun.rerun(engine.ctx, run_id)
    with pytest.raises(NotFound):
        metadata.annotate(engine.ctx, run_id, [])


def test_run_that_is_being_rerun_stays(postgres_url: str) -> None:
    db = prepared(postgres_url)
    engine = Engine(db, sequence())
    keep(engine, age=DAY)
    made = [engine.start(), engine.start()]
    engine.drain()
    engine.advance(days=2)
    with db.transaction() as tx:
        assert reruns.source(tx, made[0]) is not None
        prune(engine, Pruning())
        assert ids(db) == made[:1]
    prune(engine, Pruning())
    assert ids(db) == []
    db.close()


def test_pruning_continues_after_a_restart(db: Database) -> None:
    engine = Engine(db, sequence())
    service = keep(engine, age=DAY)
    send(engine, *({} for _ in range(250)))
    engine.drain()
    engine.advance(days=2)
    service.run_once(engine.ctx)
    left = len(ids(db))
    assert 0 < left < 250
    prune(engine, Pruning())
    assert filled(db) == set()


def test_many_processes_prune_while_runs_continue(db: Database) -> None:
    """No event that a run needs is lost, and a rerun of a run that is being deleted is whole."""
    engine = Engine(db, sequence("a", "b"))
    engine.ctx.clock = utc_now
    keep(engine, age=timedelta(milliseconds=1))
    send(engine, *({} for _ in range(60)))
    engine.drain()
    first = ids(db)

    def old(table: str, column: str) -> None:
        """Make rows look old: events must be old before they are deleted."""
        moved = "- 172800000000" if db.is_sqlite else "- interval '2 days'"
        with db.transaction() as tx:
            tx.exec_driver_sql(f"UPDATE {table} SET {column} = {column} {moved}")

    old("events", "received_at")
    repeated: list[str] = []

    def act(number: int) -> None:
        if number < 3:
            prune(engine, Pruning())
            return
        for run_id in first[number - 3 :: 2]:
            try:
                repeated.append(rerun.rerun(engine.ctx, run_id))
            except NotFound:
                continue

    together(5, act)
    engine.drain()
    made = {row["id"]: dict(row) for row in _runs(db, repeated)}
    assert set(made) == set(repeated)
    assert {row["status"] for row in made.values()} <= {"completed"}
    with db.reading() as tx:
        wanted = sorted({row["event_id"] for row in made.values()})
        assert sorted(events.by_ids(tx, wanted)) == wanted
    prune(engine, Pruning())
    old("events", "received_at")
    prune(engine, Pruning())
    assert filled(db) == set()


def _runs(db: Database, wanted: Sequence[str]) -> list[Any]:
    with db.reading() as tx:
        found = tx.exec_driver_sql("SELECT id, status, event_id FROM runs").mappings()
        return [row for row in found if row["id"] in set(wanted)]
