"""Waits that look back: events that came before the wait was reached, and while it was opened."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from inngest_py.domain.reply.read import Reply
from inngest_py.engine.intake import look_back, publish
from inngest_py.engine.work import run_item
from inngest_py.storage.db.session import Database
from tests.engine.harness import Engine
from tests.engine.waiting import for_event, open_waits, send, tried
from tests.factories import op, reply, step
from tests.processes import wait_until


def waits(db: Database, *names: str, before: Callable[[Engine], object], **opts: Any) -> Engine:
    """Make a function that runs a step, while `before` is done, and then waits for each name."""
    opts = {"look_back": True} | opts

    def script(request: dict[str, Any], target: str) -> Reply:
        done = request["steps"]
        if step("work") not in done:
            before(engine)
            return reply(206, [op("StepRun", "work", data=1)], x_inngest_req_version="2")
        left = [name for name in names if step(name) not in done]
        if left:
            return reply(206, [for_event(left[0], **opts)], x_inngest_req_version="2")
        return reply(200, [done[step(name)] and done[step(name)]["data"] for name in names])

    engine = Engine(db, script)
    return engine


def accept(engine: Engine, *data: object, name: str = "x/y") -> None:
    """Store events, one after another; nobody runs what they start."""
    for one in data:
        engine.now += timedelta(milliseconds=1)
        publish.accept(engine.ctx, [engine.event(name, data={"n": one})])


def output(engine: Engine, run_id: str) -> Any:
    run = engine.run(run_id)
    assert run["status"] == "completed", run["status"]
    return orjson.loads(run["output"])


def started(engine: Engine) -> str:
    run_id = engine.start(data={"id": "o1"})
    engine.drain()
    return run_id


def test_event_that_came_before_the_wait_ends_it(db: Database) -> None:
    engine = waits(db, "w", before=lambda engine: accept(engine, 1, 2))
    run_id = started(engine)
    assert output(engine, run_id) == [{"n": 1}]
    assert not open_waits(engine, run_id)
    assert not engine.queued(run_id)
    begun, ended = tried(engine, run_id, "w")
    assert (begun["status"], ended["status"]) == ("waiting", "completed")
    assert orjson.loads(ended["info"])["timedOut"] is False


def test_without_the_option_it_does_not(db: Database) -> None:
    engine = waits(db, "w", before=lambda engine: accept(engine, 1), look_back=False)
    run_id = started(engine)
    assert engine.run(run_id)["status"] == "running"


def test_event_that_comes_later_ends_it(db: Database) -> None:
    engine = waits(db, "w", before=lambda _: None)
    run_id = started(engine)
    (item,) = engine.queued(run_id)
    assert item["due_at"] == engine.now + timedelta(hours=1)
    assert [wait["expires_at"] for wait in open_waits(engine, run_id)] == [item["due_at"]]
    send(engine, data={"n": 3})
    assert output(engine, run_id) == [{"n": 3}]


def test_it_times_out(db: Database) -> None:
    engine = waits(db, "w", before=lambda engine: accept(engine, 1, name="x/other"))
    run_id = started(engine)
    engine.advance(minutes=59)
    assert engine.run(run_id)["status"] == "running"
    engine.advance(minutes=1)
    assert output(engine, run_id) == [None]
    assert not open_waits(engine, run_id)


def test_no_time_is_enough_for_a_look(db: Database) -> None:
    engine = waits(db, "w", before=lambda engine: accept(engine, 1), timeout="0s")
    assert output(engine, started(engine)) == [{"n": 1}]
    none = waits(db, "w", before=lambda _: None, timeout="0s", event="x/none")
    run_id = started(none)
    none.advance(seconds=0)
    assert output(none, run_id) == [None]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("async.data.n > 1", {"n": 2}),
        ("event.data.id == 'o1'", {"n": 1}),
        ("event.data.id == 'other'", None),
        ("async.data.n.x > 1", None),
        ("async.data.n == 150", {"n": 150}),  # on the second page
    ],
)
def test_condition_counts(db: Database, condition: str, found: Any) -> None:
    many = 160 if "150" in condition else 3
    engine = waits(
        db, "w", before=lambda engine: accept(engine, *range(1, many)), **{"if": condition}
    )
    run_id = started(engine)
    engine.advance(hours=2)
    assert output(engine, run_id) == [found]


def test_neither_its_own_event_nor_one_before_the_run_counts(db: Database) -> None:
    engine = waits(db, "w", before=lambda _: None, event="a/b")
    engine.start(data={"id": "earlier"})
    engine.now += timedelta(milliseconds=5)
    run_id = started(engine)
    engine.advance(hours=1)
    assert output(engine, run_id) == [None]


def test_event_is_taken_once_by_waits_of_a_run_one_after_the_other(db: Database) -> None:
    engine = waits(db, "v", "w", "z", before=lambda engine: accept(engine, 1, 2))
    run_id = started(engine)
    assert [wait["step"] for wait in open_waits(engine, run_id)] == [step("z")]
    send(engine, data={"n": 3})
    assert output(engine, run_id) == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_bad_option_is_named(db: Database) -> None:
    engine = waits(db, "w", before=lambda _: None, look_back="yes")
    run_id = started(engine)
    engine.advance(minutes=1)
    engine.advance(minutes=1)
    run = engine.run(run_id)
    assert run["status"] == "failed"
    assert "opts.look_back must be true or false, not a string" in run["output"]


def test_event_that_is_not_committed_when_the_wait_looks_is_found(db: Database) -> None:
    """It has read which waits are open before this one was, and commits after the first look."""
    engine = waits(db, "w", before=lambda _: None)
    run_id = engine.start(data={"id": "o1"})
    engine.now += timedelta(milliseconds=1)
    worker = threading.Thread(target=engine.drain)
    with db.transaction() as tx:
        publish.write_events(tx, engine.ctx, [engine.event("x/y", data={"n": 1})])
        worker.start()
        if db.locks_rows:  # SQLite's one writer holds off the wait until the event is there
            wait_until(lambda: _looked(engine, run_id), 20, "the wait has looked in vain")
            worker.join(20)
            (item,) = engine.queued(run_id)
            assert item["due_at"] < engine.now + timedelta(seconds=1)
            engine.advance(seconds=1)
            assert engine.run(run_id)["status"] == "running"
    worker.join(20)
    engine.advance(seconds=2)
    assert output(engine, run_id) == [{"n": 1}]
    assert not open_waits(engine, run_id)


def _looked(engine: Engine, run_id: str) -> bool:
    items = engine.queued(run_id)
    looks = [orjson.loads(one["opts"])["look"]["looks"] for one in items if one["opts"]]
    return bool(looks and looks[0])


def test_earlier_event_wins_over_one_that_ends_the_wait_before_the_look(db: Database) -> None:
    engine = waits(db, "w", before=lambda engine: accept(engine, 1))
    run_id = engine.start(data={"id": "o1"})
    # the wait's own item is not begun in place, but left to another worker
    engine.ctx.tuning = replace(engine.ctx.tuning, continue_for=timedelta(0))
    while not open_waits(engine, run_id):
        hints, engine.hinted.hints = engine.hinted.hints, []
        for _, item_id in hints:
            run_item.work(engine.ctx, [item_id])
    accept(engine, 2)
    engine.drain()
    assert output(engine, run_id) == [{"n": 1}]


def test_earlier_event_wins_over_one_that_ends_the_wait_during_the_look(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = waits(db, "w", before=lambda engine: accept(engine, 1))
    look, sent = look_back.look, threading.Event()

    def overtaken(*given: Any) -> look_back.Found:
        found = look(*given)
        if not sent.is_set():
            sent.set()
            accept(engine, 2)
        return found

    monkeypatch.setattr(look_back, "look", overtaken)
    run_id = started(engine)
    engine.advance(seconds=1)
    assert output(engine, run_id) == [{"n": 1}]
    assert not engine.queued(run_id)


def test_event_that_ends_the_wait_after_a_look_in_vain_is_not_put_off(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = waits(db, "w", before=lambda _: None)
    look, sent = look_back.look, threading.Event()

    def overtaken(*given: Any) -> look_back.Found:
        found = look(*given)
        if not sent.is_set():
            sent.set()
            accept(engine, 2)
        return found

    monkeypatch.setattr(look_back, "look", overtaken)
    assert output(engine, started(engine)) == [{"n": 2}]


def test_no_event_is_missed_by_waits_that_are_opened_meanwhile(db: Database) -> None:
    """Real threads: each run's event comes at about the time at which its wait is opened."""
    senders = []

    def script(request: dict[str, Any], target: str) -> Reply:
        key = request["event"]["data"]["id"]
        if not request["steps"]:
            thread = threading.Thread(target=lambda: publish.accept(engine.ctx, [made[key]]))
            senders.append(thread)
            thread.start()
            opts = {"look_back": True, "if": "async.data.id == event.data.id"}
            return reply(206, [for_event(**opts)], x_inngest_req_version="2")
        return reply(200, request["steps"][step("w")]["data"])

    engine = Engine(db, script)
    made = {n: engine.event("x/y", data={"id": n}) for n in range(24)}
    run_ids = [engine.start(data={"id": n}) for n in range(24)]
    workers = [threading.Thread(target=_worked, args=(engine, n)) for n in range(3)]
    hints, engine.hinted.hints = engine.hinted.hints, []
    _PARTS[:] = [hints[n::3] for n in range(3)]
    for thread in workers:
        thread.start()
    for thread in [*workers, *senders]:
        thread.join(60)
    for thread in senders:
        thread.join(60)
    engine.drain()
    for _ in range(8):
        engine.advance(seconds=10)
    assert [output(engine, run_id) for run_id in run_ids] == [{"id": n} for n in range(24)]


_PARTS: list[list[Any]] = []


def _worked(engine: Engine, part: int) -> None:
    for _, item_id in _PARTS[part]:
        run_item.work(engine.ctx, [item_id])
