"""Why a run waits: every reason is named, with when it ends and what holds the run up."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from inngest_py.domain.errors import NotFound
from inngest_py.domain.reply.read import Reply
from inngest_py.domain.reports.why import Reason
from inngest_py.engine.admin import pause_function, why_event, why_run_waits
from inngest_py.engine.intake import publish
from inngest_py.engine.runtime.context import NoHints
from inngest_py.engine.upkeep import workers
from inngest_py.engine.work import claims, end_run, run_item
from inngest_py.storage.db.session import Database
from tests.engine import waiting
from tests.engine.flow import rows, send
from tests.engine.harness import Engine, parallel, sequence
from tests.factories import op, reply


def reasons(engine: Engine, run_id: str) -> list[Reason]:
    return why_run_waits.of_run(engine.ctx, run_id).reasons


def reason(engine: Engine, run_id: str) -> Reason:
    [found] = reasons(engine, run_id)
    return found


def runs(engine: Engine) -> list[str]:
    return [row[0] for row in rows(engine.ctx.db, "SELECT id FROM runs ORDER BY id")]


def announced(engine: Engine) -> None:
    workers.Presence("w@host", "threads", 1).announce(engine.ctx)


def claim(engine: Engine) -> None:
    hints, engine.hinted.hints = engine.hinted.hints, []
    for _, item_id in hints:
        claims.claim(engine.ctx, [item_id])


def in_order(db: Database) -> list[str]:
    """List runs that wait for slots in the order of their line."""
    query = "SELECT run_id FROM queue_items WHERE state = 'waiting' ORDER BY rank_us, id"
    return [row[0] for row in rows(db, query)]


def test_behind_a_limit_of_concurrency(db: Database) -> None:
    engine = Engine(db, sequence("a"), concurrency=[{"limit": 1, "key": "event.data.k"}])
    announced(engine)
    send(engine, *({"k": "x"} for _ in range(3)))
    claim(engine)
    first, last = in_order(db)
    [holder] = set(runs(engine)) - {first, last}
    found = reason(engine, last)
    assert found.kind == "concurrency"
    assert found.details == {
        "limit": 1,
        "unit": "steps",
        "scope": "fn",
        "key": "event.data.k",
        "value": "x",
        "ahead": 1,
        "held": 1,
        "holders": [holder],
    }
    assert found.text == (
        "Waits for a slot: at most 1 step at a time for event.data.k = 'x', 1 of them taken; "
        f"1 is ahead of it in line. Slots are held by {holder}."
    )
    assert reason(engine, first).details["ahead"] == 0
    running = reason(engine, holder)
    assert running.kind == "call"
    assert running.details["worker"] == "Worker w@host"
    engine.now += timedelta(minutes=1)
    assert reason(engine, holder).kind == "silent"
    engine.register(2)
    assert reason(engine, last).kind != "concurrency"  # the sync has let it in


def test_behind_a_limit_of_runs(db: Database) -> None:
    engine = Engine(db, sequence("a"), concurrency={"fn": [{"limit": 1}]})
    send(engine, {}, {})
    claim(engine)
    [waiter] = in_order(db)
    [holder] = set(runs(engine)) - {waiter}
    found = reason(engine, waiter)
    assert (found.details["unit"], found.details["holders"]) == ("runs", [holder])


def test_behind_a_throttle(db: Database) -> None:
    engine = Engine(db, sequence(), throttle={"limit": 1, "period": "10s"})
    began = engine.now
    send(engine, *({"n": n} for n in range(4)))
    engine.drain()
    line = in_order(db)
    found = [reason(engine, run_id) for run_id in line]
    assert [one.details["ahead"] for one in found] == [0, 1, 2]
    assert [one.until for one in found] == [began + timedelta(seconds=10 * n) for n in (1, 2, 3)]
    for one, run_id in zip(found, line, strict=True):
        assert one.until is not None
        engine.now = one.until - timedelta(seconds=1)
        engine.advance(seconds=0)
        assert engine.run(run_id)["status"] == "queued"
        engine.advance(seconds=1)
        assert engine.run(run_id)["status"] == "completed"


def failing(request: dict[str, Any], target: str) -> Reply:
    return reply(500, {"name": "TypeError", "message": "no such field"})


def test_a_retry_and_the_end(db: Database) -> None:
    engine = Engine(db, failing, retries=1)
    run_id = engine.start()
    engine.drain()
    found = reason(engine, run_id)
    assert (found.kind, found.since) == ("retry", engine.now)
    assert found.until == engine.now + timedelta(seconds=5)
    assert (found.details["attempt"], found.details["attempts"]) == (1, 2)
    assert "no such field" in found.text
    engine.advance(seconds=5)
    ended = reason(engine, run_id)
    assert (ended.kind, ended.details["status"]) == ("ended", "failed")
    assert "no such field" in ended.text


@pytest.mark.parametrize(
    ("asked", "kind", "details"),
    [
        (op("Sleep", "nap", name="1h"), "sleep", {}),
        (
            waiting.for_event(event="x/y", **{"if": "async.data.n == 1"}),
            "event",
            {"event": "x/y", "if": "async.data.n == 1"},
        ),
        (waiting.for_signal(), "signal", {"signal": "sig"}),
    ],
)
def test_waits_of_steps(db: Database, asked: Any, kind: str, details: dict[str, Any]) -> None:
    engine = Engine(db, waiting.waits(asked))
    run_id = engine.start()
    engine.drain()
    found = reason(engine, run_id)
    assert (found.kind, found.since) == (kind, engine.now)
    assert found.until == engine.now + timedelta(hours=1)
    assert found.details.items() >= details.items()


def test_an_invoked_run(db: Database) -> None:
    scripts = {"a/b": waiting.waits(waiting.invoke()), "inngest/function.invoked": sequence("s")}
    engine = Engine(db, waiting.by_event(scripts))
    waiting.add_functions(engine, {"app-fn": "a/b", "app-child": "never"})
    run_id = engine.start()
    [(_, item_id)] = engine.hinted.hints
    engine.hinted.hints.clear()
    run_item.work(engine.ctx, [item_id])
    found = reason(engine, run_id)
    [child] = set(runs(engine)) - {run_id}
    assert (found.kind, found.details["run_id"]) == ("invoke", child)
    assert found.details["run_status"] == "queued"
    assert "app-child" in found.text


def test_parallel_branches_wait_for_several_things(db: Database) -> None:
    asked = [op("Sleep", "nap", name="1h"), waiting.for_signal()]
    engine = Engine(db, waiting.waits(*asked))
    run_id = engine.start()
    engine.drain()
    assert sorted(one.kind for one in reasons(engine, run_id)) == ["signal", "sleep"]


def test_due_with_and_without_workers(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    run_id = engine.start()
    assert reason(engine, run_id).kind == "no_worker"
    announced(engine)
    engine.now += timedelta(seconds=1)
    later = engine.start()
    engine.now += timedelta(seconds=1)
    assert reason(engine, run_id).details["ahead"] == 0
    found = reason(engine, later)
    assert (found.kind, found.details["ahead"], found.details["workers"]) == ("worker", 1, 1)

    class Away(NoHints):
        def reachable(self) -> bool:
            return False

    ctx = replace(engine.ctx, hints=Away())
    assert [one.kind for one in why_run_waits.of_run(ctx, later).reasons] == ["worker", "broker"]
    engine.now += timedelta(minutes=1)
    assert reason(engine, run_id).kind == "no_worker"


def test_the_time_of_its_event_lies_ahead(db: Database) -> None:
    engine = Engine(db, sequence())
    due_at = engine.now + timedelta(hours=1)
    run_id = engine.start(ts=int(due_at.timestamp() * 1000))
    found = reason(engine, run_id)
    assert (found.kind, found.until) == ("scheduled", due_at)


def test_a_paused_function(db: Database) -> None:
    engine = Engine(db, parallel("a", "b"))
    run_id = engine.start()
    pause_function.pause(engine.ctx, "app-fn", "hold")
    found = reason(engine, run_id)
    assert (found.kind, found.since) == ("paused", engine.now)
    pause_function.pause(engine.ctx, "app-fn", "skip")
    skipped = reason(engine, engine.start())
    assert (skipped.kind, skipped.details["skip_reason"]) == ("skipped", "FunctionPaused")


def test_a_paused_run_that_would_sleep_on_says_so(db: Database) -> None:
    engine = Engine(db, waiting.waits(op("Sleep", "nap", name="1h")))
    run_id = engine.start()
    engine.drain()
    pause_function.pause(engine.ctx, "app-fn", "hold")
    found = reason(engine, run_id)
    assert found.kind == "paused"
    assert found.details["due"] == engine.now + timedelta(hours=1)
    assert "not before" in found.text


def test_a_failed_step_is_named(db: Database) -> None:
    def failing_step(request: dict[str, Any], target: str) -> Reply:
        return reply(206, [op("StepError", "bad", error={"name": "E", "message": "no"})])

    engine = Engine(db, failing_step, retries=1)
    run_id = engine.start()
    engine.drain()
    assert "at step 'bad'" in reason(engine, run_id).text


def test_overdue_item_without_a_worker_says_so(db: Database) -> None:
    engine = Engine(db, sequence(), throttle={"limit": 1, "period": "10s"})
    send(engine, {"n": 0}, {"n": 1})
    engine.drain()
    [waits] = in_order(db)
    assert [one.kind for one in reasons(engine, waits)] == ["throttle"]
    engine.now += timedelta(seconds=11)
    assert [one.kind for one in reasons(engine, waits)] == ["throttle", "no_worker"]
    announced(engine)
    assert [one.kind for one in reasons(engine, waits)] == ["throttle"]


def test_a_batch_that_is_overdue_says_so_of_its_events(db: Database) -> None:
    engine = Engine(db, sequence(), batchEvents={"maxSize": 3, "timeout": "5s"})
    [first] = send(engine, {"n": 0})
    engine.now += timedelta(seconds=6)
    assert [one.kind for one in events(engine, first.id)] == ["batch", "no_worker"]


def test_a_silent_worker_with_nobody_else(db: Database) -> None:
    engine = Engine(db, sequence("a"))
    run_id = engine.start()
    claim(engine)
    engine.now += timedelta(hours=1)
    found = reason(engine, run_id)
    assert found.kind == "silent"
    assert "no worker is alive" in found.text
    announced(engine)
    assert "another worker takes it" in reason(engine, run_id).text


def test_run_skipped_by_a_singleton_names_the_holder(db: Database) -> None:
    engine = Engine(db, sequence(), singleton={"mode": "skip"})
    first = engine.start()
    second = engine.start()
    found = reason(engine, second)
    assert (found.kind, found.details["run_id"]) == ("skipped", first)
    assert first in found.text


def test_what_cancelled_a_run(db: Database) -> None:
    engine = Engine(db, sequence("a"), timeouts={"start": "1m"})
    asked, late = engine.start(), engine.start()
    end_run.cancel(engine.ctx, asked)
    assert "by request" in reason(engine, asked).text
    engine.hinted.hints.clear()
    engine.now += timedelta(minutes=2)
    engine.advance(seconds=0)
    assert engine.run(late)["status"] == "cancelled"
    assert "timeouts.start" in reason(engine, late).text


def test_a_completed_run_and_an_unknown_one(db: Database) -> None:
    engine = Engine(db, sequence())
    run_id = engine.start()
    engine.drain()
    assert reason(engine, run_id).text.startswith("The run completed at 20")
    with pytest.raises(NotFound):
        why_run_waits.of_run(engine.ctx, engine.ctx.new_id())


def events(engine: Engine, event_id: str) -> list[Reason]:
    return why_event.of_event(engine.ctx, event_id).reasons


def test_events_that_a_debounce_holds_or_drops(db: Database) -> None:
    engine = Engine(db, sequence(), debounce={"period": "10s"})
    first, last = send(engine, {"n": 0}, {"n": 1})
    [held] = events(engine, last.id)
    assert held.kind == "debounce"
    assert held.until is not None
    [dropped] = events(engine, first.id)
    assert (dropped.kind, dropped.details["event_id"]) == ("debounce_dropped", last.id)
    engine.now = held.until
    engine.advance(seconds=0)
    [over] = events(engine, first.id)
    assert over.kind == "debounce_dropped"
    [found] = events(engine, last.id)
    assert (found.kind, found.details["run_id"]) == ("run", runs(engine)[0])


def test_events_in_a_batch(db: Database) -> None:
    engine = Engine(db, sequence(), batchEvents={"maxSize": 3, "timeout": "5s"})
    first, _ = send(engine, {"n": 0}, {"n": 1})
    [found] = events(engine, first.id)
    assert (found.kind, found.until) == ("batch", engine.now + timedelta(seconds=5))
    assert (found.details["count"], found.details["max_size"]) == (2, 3)
    send(engine, {"n": 2})
    [ran] = events(engine, first.id)
    assert ran.kind == "run"


def test_events_without_a_run(db: Database) -> None:
    engine = Engine(db, sequence(), rateLimit={"limit": 1, "period": "1m"})
    _, dropped = send(engine, {"n": 0}, {"n": 1})
    assert [one.kind for one in events(engine, dropped.id)] == ["rate_limit"]
    engine.register(2, idempotency="event.data.n")
    _, same = send(engine, {"n": 5}, {"n": 5})
    assert [one.kind for one in events(engine, same.id)] == ["idempotency"]
    engine.register(2)
    first = engine.event(id="own")
    second = engine.event(id="own")
    publish.accept(engine.ctx, [first])
    publish.accept(engine.ctx, [second])
    [repeated] = events(engine, second.id)
    [made] = events(engine, first.id)
    assert (repeated.kind, repeated.details["run_id"]) == ("repeated", made.details["run_id"])
    [other] = send(engine, {}, name="no/body")
    assert [one.kind for one in events(engine, other.id)] == ["unmatched"]
    with pytest.raises(NotFound):
        why_event.of_event(engine.ctx, engine.ctx.new_id())
