"""Paused functions: what waits, what is skipped, and no request begins after the pause."""

import threading
from datetime import timedelta
from typing import Any

import pytest

from inngest_py.domain.errors import Invalid, NotFound
from inngest_py.domain.events.user_events import invoked
from inngest_py.domain.functions.registration import parse_function
from inngest_py.domain.reply.read import Reply
from inngest_py.engine.admin import pause_function
from inngest_py.engine.apps.register import register_one
from inngest_py.engine.intake import publish
from inngest_py.engine.runtime.context import new_ulid
from inngest_py.engine.upkeep import resumptions
from inngest_py.engine.work import run_item
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import queue_stats, run_list
from inngest_py.storage.queue import backlog
from inngest_py.storage.queue import function_pause as rows
from tests.engine.harness import Engine, Script, sequence, stored_events
from tests.factories import op, reply
from tests.processes import wait_until


def statuses(engine: Engine, event_id: str) -> list[tuple[str, str | None]]:
    with engine.ctx.db.reading() as tx:
        found = run_list.of_event(tx, event_id)
    return [(row["status"], row["skip_reason"]) for row in found]


def send(engine: Engine, name: str = "a/b", **fields: Any) -> str:
    event = engine.event(name, **fields)
    publish.accept(engine.ctx, [event])
    engine.drain()
    return event.id


def waits(engine: Engine) -> tuple[int, Any]:
    """Return what upkeep and health see: the number of due items, and when the next is due."""
    with engine.ctx.db.reading() as tx:
        return queue_stats.backlog(tx, engine.now + timedelta(minutes=5))[0], backlog.next_due(tx)


def test_new_events_are_skipped_or_held(db: Database) -> None:
    engine = Engine(db, sequence("one"))
    pause_function.pause(engine.ctx, "app-fn")
    skipped = send(engine, id="mine")
    assert statuses(engine, skipped) == [("skipped", "FunctionPaused")]
    pause_function.pause(engine.ctx, "app-fn", "hold")
    held = send(engine, id="mine")  # a skipped run does not use up the event's id
    assert statuses(engine, held) == [("queued", None)]
    assert waits(engine) == (0, None)
    engine.advance(minutes=5)
    assert engine.sdk.requests == []
    pause_function.resume(engine.ctx, "app-fn")
    engine.advance()
    assert statuses(engine, held) == [("completed", None)]
    assert statuses(engine, skipped) == [("skipped", "FunctionPaused")]
    assert statuses(engine, send(engine)) == [("completed", None)]


def test_an_invocation_of_a_paused_function_gets_no_answer(db: Database) -> None:
    engine = Engine(db, sequence())
    pause_function.pause(engine.ctx, "app-fn")
    event = invoked(
        {}, {"fn_id": "app-fn", "correlation_id": "x"}, id=new_ulid(engine.now), ts_ms=1
    )
    publish.accept(engine.ctx, [event])
    assert statuses(engine, event.id) == [("skipped", "FunctionPaused")]
    with db.reading() as tx:
        assert [row["name"] for row in stored_events(tx)] == [event.name]


def pausing_script(engine: list[Engine], inner: Script) -> Script:
    """Script a function that is paused during its first call."""

    def script(request: dict[str, Any], target: str) -> Reply:
        if not engine[0].sdk.requests[1:]:
            pause_function.pause(engine[0].ctx, "app-fn")
        return inner(request, target)

    return script


def test_answer_in_flight_is_stored_and_the_run_continues_when_resumed(db: Database) -> None:
    box: list[Engine] = []
    engine = Engine(db, pausing_script(box, sequence("one", "two")))
    box.append(engine)
    run_id = engine.start()
    engine.drain()
    engine.advance(minutes=1)
    assert (len(engine.sdk.requests), len(engine.memo(run_id))) == (1, 1)
    assert waits(engine) == (0, None)
    pause_function.resume(engine.ctx, "app-fn")
    engine.advance()
    assert engine.run(run_id)["status"] == "completed"


def failing(request: dict[str, Any], target: str) -> Reply:
    return reply(500, {"message": "no"})


def sleeping(request: dict[str, Any], target: str) -> Reply:
    if request["steps"]:
        return reply(200, "done")
    return reply(206, [op("Sleep", "nap", name="1m", opts={"duration": "1m"})])


@pytest.mark.parametrize(("script", "attempt"), [(failing, 1), (sleeping, 0)])
def test_timers_and_retries_wait_without_using_attempts(
    db: Database, script: Script, attempt: int
) -> None:
    engine = Engine(db, script)
    run_id = engine.start()
    engine.drain()
    pause_function.pause(engine.ctx, "app-fn")
    engine.advance(hours=1)
    assert len(engine.sdk.requests) == 1
    [item] = engine.queued(run_id)
    assert (item["state"], item["attempt"]) == ("held", attempt)
    pause_function.resume(engine.ctx, "app-fn")
    [item] = engine.queued(run_id)
    assert (item["state"], item["attempt"], item["due_at"]) == ("ready", attempt, engine.now)
    engine.advance()
    assert len(engine.sdk.requests) == 2


def test_resumed_items_keep_a_later_due_time(db: Database) -> None:
    engine = Engine(db, sleeping)
    run_id = engine.start()
    engine.drain()
    [due_at] = [item["due_at"] for item in engine.queued(run_id)]
    pause_function.pause(engine.ctx, "app-fn")
    pause_function.resume(engine.ctx, "app-fn")
    [item] = engine.queued(run_id)
    assert (item["state"], item["due_at"], item["hint_at"]) == ("ready", due_at, due_at)


def test_pause_is_kept_through_a_sync_and_known_to_other_processes(db: Database) -> None:
    engine = Engine(db, sequence())
    other = Engine(db, sequence())
    assert statuses(other, send(other)) == [("completed", None)]
    pause_function.pause(engine.ctx, "app-fn")
    engine.register(retries=7)
    assert statuses(other, send(other)) == [("skipped", "FunctionPaused")]


def test_interrupted_resumption_is_finished_by_upkeep(db: Database) -> None:
    engine = Engine(db, sequence())
    run_id = engine.start()
    function_id = pause_function.pause(engine.ctx, "app-fn")
    with db.transaction() as tx:
        rows.resume(tx, function_id)
    assert [item["state"] for item in engine.queued(run_id)] == ["held"]
    resumptions.run_once(engine.ctx)
    assert [item["state"] for item in engine.queued(run_id)] == ["ready"]
    with db.reading() as tx:
        assert rows.resuming(tx) == []


def test_many_runs_are_held_in_batches(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pause_function, "_BATCH", 3)
    engine = Engine(db, sequence())
    ids = [engine.start() for _ in range(7)]
    pause_function.pause(engine.ctx, "app-fn")
    assert {engine.queued(run_id)[0]["state"] for run_id in ids} == {"held"}
    pause_function.resume(engine.ctx, "app-fn")
    assert {engine.queued(run_id)[0]["state"] for run_id in ids} == {"ready"}


def test_unknown_and_ambiguous_functions_are_refused(db: Database) -> None:
    engine = Engine(db, sequence())
    with pytest.raises(NotFound):
        pause_function.pause(engine.ctx, "nobody")
    with pytest.raises(Invalid, match="skip"):
        pause_function.pause(engine.ctx, "app-fn", "later")
    body = {"id": "app-fn", "name": "x", "url": "http://localhost:2/", "triggers": [{"event": "x"}]}
    twin = register_one(engine.ctx, parse_function({"app": "twin", **body}))
    with pytest.raises(Invalid, match="internal_id"):
        pause_function.pause(engine.ctx, "app-fn")
    assert pause_function.pause(engine.ctx, twin) == twin


class Crowd:
    """Threads that run all due items until they are stopped."""

    def __init__(self, engine: Engine, count: int) -> None:
        self._engine, self._stop = engine, threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._work) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        ctx = self._engine.ctx
        try:
            while not self._stop.is_set():
                with ctx.db.transaction() as tx:
                    # ahead: the clock stands still, and hints that went out are not repeated
                    found = backlog.due(tx, ctx.now() + timedelta(hours=1), 3, again_at=ctx.now())
                run_item.work(ctx, [item_id for item_id, _ in found])
        except BaseException as error:
            self._errors.append(error)
            raise

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=60)
        assert not self._errors


def test_no_request_begins_after_the_pause(db: Database) -> None:
    """Only a lease taken before pause() returned may still make its one call."""
    engine = Engine(db, sequence(*"abcdefgh"))
    paused, late = threading.Event(), []
    inner = engine.sdk.script

    def script(request: dict[str, Any], target: str) -> Reply:
        if paused.is_set():
            late.append(request["ctx"]["run_id"])
        return inner(request, target)

    engine.sdk.script = script
    ids = [engine.start() for _ in range(40)]
    crowd = Crowd(engine, 4)
    try:
        wait_until(lambda: len(engine.sdk.requests) > 30)
        pause_function.pause(engine.ctx, "app-fn")
        paused.set()
        wait_until(lambda: not len(engine.ctx.leases) and waits(engine) == (0, None))
    finally:
        crowd.stop()
    # four threads hold at most three leases each; one call per lease
    assert len(late) == len(set(late)) <= 12
    pause_function.resume(engine.ctx, "app-fn")
    engine.advance()
    assert {engine.run(run_id)["status"] for run_id in ids} == {"completed"}
    assert len(engine.sdk.requests) == 40 * 9


def test_nothing_stays_held_however_pauses_and_claims_cross(db: Database) -> None:
    engine = Engine(db, sequence(*"abc"))
    ids = [engine.start() for _ in range(60)]
    crowd = Crowd(engine, 3)
    try:
        for _ in range(15):
            pause_function.pause(engine.ctx, "app-fn", "hold")
            pause_function.resume(engine.ctx, "app-fn")
        wait_until(lambda: all(engine.run(run_id)["status"] == "completed" for run_id in ids))
    finally:
        crowd.stop()
    assert len(engine.sdk.requests) == 60 * 4
