"""Runs that wait for events, on both databases."""

import threading
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from inngest_py.domain.reply.read import Reply
from inngest_py.domain.runs.items import ItemKind
from inngest_py.engine.intake import publish
from inngest_py.engine.upkeep import leftovers
from inngest_py.engine.work import claims, run_item
from inngest_py.engine.work.end_run import cancel
from inngest_py.storage.db.session import Database
from inngest_py.storage.events import waits as wait_rows
from inngest_py.storage.queries import timeline_rows
from inngest_py.storage.queue import backlog, leases, queue_items
from tests.engine.harness import Engine
from tests.engine.waiting import for_event, open_waits, send, tried, waits
from tests.factories import op, reply, step


def waiting_run(db: Database, **opts: Any) -> tuple[Engine, str]:
    engine = Engine(db, waits(for_event(**opts)))
    run_id = engine.start(data={"id": "o1"})
    engine.drain()
    return engine, run_id


def test_an_event_ends_the_wait_and_is_its_result(db: Database) -> None:
    engine, run_id = waiting_run(db)
    (job,) = engine.queued(run_id)
    assert (job["kind"], job["state"]) == ("pause", "ready")
    assert engine.run(run_id)["status"] == "running"
    event_id = send(engine, data={"paid": 5})
    run = engine.run(run_id)
    assert run["status"] == "completed"
    (event,) = orjson.loads(run["output"])
    assert (event["name"], event["data"], event["id"]) == ("x/y", {"paid": 5}, event_id)
    assert not open_waits(engine, run_id)
    assert not engine.queued(run_id)
    begun, ended = tried(engine, run_id, "w")
    assert (begun["status"], ended["status"]) == ("waiting", "completed")
    info = orjson.loads(ended["info"])
    assert (info["eventName"], info["foundEventID"], info["timedOut"]) == ("x/y", event_id, False)


def test_a_wait_times_out_with_null(db: Database) -> None:
    engine, run_id = waiting_run(db)
    engine.advance(minutes=59)
    assert engine.run(run_id)["status"] == "running"
    engine.advance(minutes=1)
    assert engine.run(run_id)["output"] == "[null]"
    assert not open_waits(engine, run_id)
    assert orjson.loads(tried(engine, run_id, "w")[1]["info"])["timedOut"] is True


def test_a_slow_condition_is_warned_of_once(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    engine, _ = waiting_run(db, **{"if": "async.data.n + 1 == 3"})
    engine.start(data={"id": "o2"})
    engine.drain()
    (record,) = [one for one in caplog.records if one.message == "wait.slow"]
    assert record.__dict__["fields"]["function"] == "app-fn"
    assert record.__dict__["fields"]["step"] == "w"


def test_an_empty_timeout_is_over_at_once(db: Database) -> None:
    engine, run_id = waiting_run(db, timeout="")
    assert engine.run(run_id)["output"] == "[null]"


@pytest.mark.parametrize(
    ("condition", "data", "ends"),
    [
        ("async.data.id == event.data.id", {"id": "o1"}, True),
        ("async.data.id == event.data.id", {"id": "o2"}, False),
        ("async.data.id == event.data.id", {}, False),
        ("async.data.id == event.data.id && async.data.n > 3", {"id": "o1", "n": 2}, False),
        ("async.data.id == event.data.id && async.data.n > 3", {"id": "o1", "n": 4}, True),
        ("async.data.n > 3", {"n": 4}, True),
        ("async.data.n > 3", {"n": "four"}, False),  # an evaluation error is no match
        ("async.data.n", {"n": 4}, False),
        ("event.data.none == async.data.x", {}, True),
        ("event.data.id == 'other'", {}, False),
        ("event.data.id == 'o1'", {}, True),
    ],
)
def test_only_an_event_that_meets_the_condition_ends_the_wait(
    db: Database, condition: str, data: dict[str, Any], ends: bool
) -> None:
    engine, run_id = waiting_run(db, **{"if": condition})
    send(engine, "x/other", data=data)
    assert engine.run(run_id)["status"] == "running"
    send(engine, data=data)
    assert engine.run(run_id)["status"] == ("completed" if ends else "running")


def test_a_wildcard_is_no_pattern_for_a_wait(db: Database) -> None:
    engine, run_id = waiting_run(db, event="x/*")
    send(engine)
    assert engine.run(run_id)["status"] == "running"


def test_the_first_of_several_events_ends_the_wait_and_one_event_ends_several(
    db: Database,
) -> None:
    engine = Engine(db, waits(for_event("v"), for_event("w")))
    run_id = engine.start()
    engine.drain()
    both = [engine.event("x/y", data={"n": n}) for n in (1, 2)]
    publish.accept(engine.ctx, both)
    engine.drain()
    found = orjson.loads(engine.run(run_id)["output"])
    assert [one["data"]["n"] for one in found] == [1, 1]


def test_neither_its_own_event_nor_an_earlier_one_ends_a_wait(db: Database) -> None:
    engine = Engine(db, waits(for_event(event="a/b")))
    event = engine.event()
    publish.accept(engine.ctx, [event])
    engine.drain()
    (request, *_), count = engine.sdk.requests, len(engine.sdk.requests)
    run_id = request["ctx"]["run_id"]
    engine.drain()
    assert len(engine.sdk.requests) == count
    assert engine.run(run_id)["status"] == "running"
    send(engine, "a/b")
    assert engine.run(run_id)["status"] == "completed"


def test_an_expired_wait_and_one_of_an_event_long_past_are_not_matched(db: Database) -> None:
    engine, run_id = waiting_run(db)
    engine.now += timedelta(hours=1)
    send(engine)
    assert engine.run(run_id)["status"] == "running"
    engine.advance(seconds=0)
    assert engine.run(run_id)["output"] == "[null]"


def test_a_wait_reported_again_is_one_wait(db: Database) -> None:
    engine = Engine(db, waits(for_event("v", "x/v"), for_event("w"), version="1"))
    run_id = engine.start()
    engine.drain()
    send(engine, "x/v")  # version 1 discovers now, and reports w again
    assert len(open_waits(engine, run_id)) == 1
    assert len(tried(engine, run_id, "w")) == 2 - 1
    send(engine)
    assert engine.run(run_id)["status"] == "completed"
    assert len(tried(engine, run_id, "w")) == 2


def test_an_answered_wait_that_is_reported_again_opens_none(db: Database) -> None:
    engine = Engine(db, waits(for_event("v", "x/v"), for_event("w"), version="1"))
    run_id = engine.start()
    engine.drain()
    publish.accept(engine.ctx, [engine.event("x/y")])  # w is answered, its item not yet run
    held, engine.hinted.hints = engine.hinted.hints, []
    send(engine, "x/v")
    assert not open_waits(engine, run_id)
    engine.hinted.hints = held
    engine.drain()
    assert engine.run(run_id)["status"] == "completed"


@pytest.mark.parametrize("first", ["event", "timeout"])
def test_event_or_time_out_ends_the_wait_whichever_is_first(db: Database, first: str) -> None:
    engine, run_id = waiting_run(db)
    engine.now += timedelta(minutes=59)
    (item,) = engine.queued(run_id)
    with db.transaction() as tx:  # make the time-out due a moment early, for the race
        tx.execute(queue_items._items.update().values(due_at=engine.now, hint_at=engine.now))
    (job,) = claims.claim(engine.ctx, [item["id"]])
    if first == "event":
        send(engine)
        run_item.run_job(engine.ctx, job)
    else:
        run_item.run_job(engine.ctx, job)
        send(engine)
    engine.drain()
    (found,) = orjson.loads(engine.run(run_id)["output"])
    assert (found is not None) is (first == "event")
    assert not open_waits(engine, run_id)


def test_wait_without_row_and_answer_times_out(db: Database) -> None:
    engine, run_id = waiting_run(db)
    with db.transaction() as tx:
        wait_rows.drop_runs(tx, [run_id])
    engine.advance(hours=1)
    assert engine.run(run_id)["output"] == "[null]"


def test_events_and_time_outs_that_race_end_every_wait_once(db: Database) -> None:
    engine = Engine(db, waits(for_event(**{"if": "async.data.id == event.data.id"})))
    run_ids = [engine.start(data={"id": n}) for n in range(12)]
    engine.drain()
    with db.transaction() as tx:
        tx.execute(queue_items._items.update().values(due_at=engine.now, hint_at=engine.now))
        items = [one["id"] for run_id in run_ids for one in timeline_rows.queued_for(tx, run_id)]
    barrier = threading.Barrier(3)

    def arrive(order: int) -> None:
        barrier.wait()
        for n in range(12)[::order]:
            publish.accept(engine.ctx, [engine.event("x/y", data={"id": n})])

    def expire() -> None:
        barrier.wait()
        for item_id in items:
            run_item.work(engine.ctx, [item_id])

    threads = [threading.Thread(target=arrive, args=(order,)) for order in (1, -1)]
    threads.append(threading.Thread(target=expire))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.drain()
    engine.advance(seconds=3)
    for run_id in run_ids:
        assert engine.run(run_id)["status"] == "completed"
        assert len(tried(engine, run_id, "w")) == 2
        assert not open_waits(engine, run_id)


def test_waits_of_a_run_are_deleted_with_it(db: Database) -> None:
    engine, run_id = waiting_run(db)
    assert len(open_waits(engine, run_id)) == 1
    cancel(engine.ctx, run_id)
    assert not open_waits(engine, run_id)
    send(engine)
    assert engine.run(run_id)["status"] == "cancelled"


def test_race_continues_with_its_first_and_the_rest_ends_with_the_run(db: Database) -> None:
    race = {"parallelMode": "race"}

    def script(request: dict[str, Any], target: str) -> Reply:
        if step("v") in request["steps"]:
            return reply(200, "v won")
        ops = [for_event("v", "x/v", **race), for_event("w", **race)]
        return reply(206, ops, x_inngest_req_version="2")

    engine = Engine(db, script)
    run_id = engine.start()
    engine.drain()
    send(engine, "x/v")
    assert engine.run(run_id)["output"] == '"v won"'
    assert not open_waits(engine, run_id)
    assert not engine.queued(run_id)


def test_wait_is_open_before_a_parallel_step_can_send_its_event(db: Database) -> None:
    engine = Engine(db, lambda *_: reply(500))

    def script(request: dict[str, Any], target: str) -> Reply:
        if target == step("send"):
            publish.accept(engine.ctx, [engine.event("x/y", data={"by": "sibling"})])
            return reply(206, [op("StepRun", "send", data=1)], x_inngest_req_version="2")
        if step("w") in request["steps"]:
            return reply(200, request["steps"][step("w")]["data"])
        left = [op("StepPlanned", "send"), for_event()]
        return reply(206, left, x_inngest_req_version="2")

    engine.sdk.script = script
    run_id = engine.start()
    engine.drain()
    assert engine.run(run_id)["output"] == '{"by":"sibling"}'


def test_group_continues_when_all_its_waits_have_ended(db: Database) -> None:
    engine = Engine(db, waits(for_event("v", "x/v"), for_event("w", timeout="2h")))
    run_id = engine.start()
    engine.drain()
    send(engine, "x/v")
    assert engine.run(run_id)["status"] == "running"
    asked = len(engine.sdk.requests)
    engine.advance(hours=2)
    assert len(engine.sdk.requests) == asked + 1
    assert engine.run(run_id)["status"] == "completed"


def test_event_ends_very_many_waits_page_by_page(db: Database) -> None:
    engine = Engine(db, waits(for_event()))
    first = engine.start()
    engine.drain()
    run_ids = [first, *many_more(engine, first, 1100)]
    event_id = send(engine)
    with db.reading() as tx:
        assert wait_rows.paths(tx, ["x/y"]) == []
        assert timeline_rows.queued_for(tx, event_id) == []
    assert {engine.run(run_id)["status"] for run_id in run_ids[::100]} == {"completed"}
    with db.reading() as tx:
        assert backlog.next_due(tx) is None


def test_an_event_of_many_waits_defers_only_itself(db: Database) -> None:
    engine = Engine(db, waits(for_event()))
    first = engine.start()
    engine.drain()
    many_more(engine, first, 300)
    other = engine.start()
    engine.drain()
    with db.transaction() as tx:
        tx.execute(text("UPDATE waits SET event_name = 'x/z' WHERE run_id = :run"), {"run": other})
    publish.accept(engine.ctx, [engine.event("x/y"), engine.event("x/z")])
    kinds = sorted(kind.value for kind, _ in engine.hinted.hints)
    assert kinds == [ItemKind.EVENT.value, ItemKind.WAIT.value]
    engine.drain()
    assert {engine.run(run_id)["status"] for run_id in (first, other)} == {"completed"}


def test_a_crash_in_the_middle_of_many_waits_loses_none(db: Database) -> None:
    engine = Engine(db, waits(for_event()))
    first = engine.start()
    engine.drain()
    many_more(engine, first, 600)
    publish.accept(engine.ctx, [engine.event("x/y")])
    ((kind, item_id),) = engine.hinted.hints
    assert kind is ItemKind.EVENT
    (job,) = claims.claim(engine.ctx, [item_id])
    inner, calls = engine.ctx.committer.run_alone, []

    def dying(write: Any) -> Any:
        if calls:
            raise KeyboardInterrupt
        calls.append(1)
        return inner(write)

    engine.ctx.committer.run_alone = dying  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run_item.run_job(engine.ctx, job)
    engine.ctx.committer.run_alone = inner  # type: ignore[method-assign]
    with db.transaction() as tx:
        assert wait_rows.paths(tx, ["x/y"])
        leases.free_lapsed(tx, engine.now + timedelta(minutes=1), 10)
    engine.advance(seconds=3)
    with db.reading() as tx:
        assert wait_rows.paths(tx, ["x/y"]) == []
        assert backlog.next_due(tx) is None


def many_more(engine: Engine, run_id: str, count: int) -> list[str]:
    """Copy a waiting run, its item and its wait."""
    with engine.ctx.db.transaction() as tx:
        return clone(tx, engine, run_id, count)


def clone(tx: Any, engine: Engine, run_id: str, count: int) -> list[str]:
    from inngest_py.domain.values.ids import wait_id
    from inngest_py.storage.runs import runs

    run = dict(tx.execute(runs._runs.select().where(runs._runs.c.id == run_id)).mappings().one())
    (item,) = [dict(one) for one in timeline_rows.queued_for(tx, run_id)]
    (wait,) = [dict(one) for one in wait_rows.of_run(tx, run_id)]
    made = []
    run_rows, item_rows, rows_of_waits = [], [], []
    for _ in range(count):
        new, new_item = engine.ctx.new_id(), engine.ctx.new_id()
        made.append(new)
        run_rows.append(run | {"id": new})
        item_rows.append(item | {"id": new_item, "run_id": new, "job_key": f"{new}-pause"})
        new_wait = {"id": wait_id(new, wait["step"]), "run_id": new, "item_id": new_item}
        rows_of_waits.append(wait | new_wait)
    runs.add(tx, run_rows)
    queue_items.add(tx, item_rows)
    wait_rows.add(tx, rows_of_waits)
    return made


def test_upkeep_deletes_waits_that_nothing_ended_after_their_grace(db: Database) -> None:
    engine, run_id = waiting_run(db)
    engine.now += timedelta(hours=1, minutes=19)
    leftovers.forget_waits(engine.ctx)
    assert open_waits(engine, run_id)
    engine.now += timedelta(minutes=2)
    leftovers.forget_waits(engine.ctx)
    assert not open_waits(engine, run_id)
    engine.advance(seconds=0)
    assert engine.run(run_id)["output"] == "[null]"
