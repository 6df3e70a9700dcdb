"""Steps stored while their request is open: order, retries, limits, requests that are void."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import update

from inngest_py.domain.errors import Invalid, Superseded, TooLarge
from inngest_py.domain.limits import MAX_STEPS
from inngest_py.domain.reply import checkpoint as checkpoints
from inngest_py.domain.reply.read import Reply
from inngest_py.engine.work import checkpoint, claims, run_item
from inngest_py.engine.work.end_run import cancel
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import timeline_rows
from inngest_py.storage.queue import leases
from inngest_py.storage.queue.queue_items import QueueItem
from tests.factories import op, reply, step

from .harness import Engine

NS = 1_700_000_000_000_000_000
Handler = Callable[[dict[str, Any]], Reply]


class App:
    """A scripted SDK that checkpoints: each request is handled by the next of `handlers`."""

    def __init__(self, db: Database, *handlers: Handler) -> None:
        self.handlers = list(handlers)
        self.engine = Engine(db, lambda request, _: self.handlers.pop(0)(request))

    def save(self, request: dict[str, Any], *ops: dict[str, Any]) -> None:
        context = request["ctx"]
        body = {"run_id": context["run_id"], "qi_id": context["qi_id"], "steps": ops}
        given = checkpoints.parse(orjson.dumps(body), context["run_id"])
        checkpoint.store(self.engine.ctx, context["run_id"], given)


def ran(name: str, data: Any = None) -> dict[str, Any]:
    return op("StepRun", name, data=data, timing={"a": NS, "b": 5_000_000})


def complete(*before: dict[str, Any], data: Any = "done") -> Reply:
    ops = [*before, op("RunComplete", "complete", data=data)]
    return reply(206, ops, x_inngest_req_version="2")


def test_steps_are_in_the_memo_before_the_request_ends(db: Database) -> None:
    seen: list[Any] = []

    def handler(request: dict[str, Any]) -> Reply:
        app.save(request, ran("a", 1))
        seen.append(app.engine.memo(request["ctx"]["run_id"]))
        app.save(request, ran("b", 2), ran("c", 3))
        seen.append(app.engine.queued(request["ctx"]["run_id"]))
        return complete(ran("d", 4))

    app = App(db, handler)
    run_id = app.engine.start()
    app.engine.drain()
    assert seen[0] == {step("a"): {"data": 1}}
    assert len(seen[1]) == 1, "a checkpoint queues nothing"
    assert list(app.engine.memo(run_id)) == [step(name) for name in "abcd"]
    run = app.engine.run(run_id)
    assert (run["status"], run["output"], run["step_count"]) == ("completed", '"done"', 4)
    with db.reading() as tx:
        rows = {row["name"]: row for row in timeline_rows.attempts_of(tx, run_id)}
    assert set(rows) == {"a", "b", "c", "d", "Finalization"}
    assert rows["b"]["ended_at"] - rows["b"]["started_at"] == timedelta(milliseconds=5)


def test_steps_given_twice_count_once(db: Database) -> None:
    def handler(request: dict[str, Any]) -> Reply:
        app.save(request, ran("a", 1))
        app.save(request, ran("a", "other"), ran("b", 2))
        return complete(ran("b", 2))

    app = App(db, handler)
    run_id = app.engine.start()
    app.engine.drain()
    run = app.engine.run(run_id)
    assert (run["step_count"], run["status"]) == (2, "completed")
    assert app.engine.memo(run_id) == {step("a"): {"data": 1}, step("b"): {"data": 2}}


def test_worker_continues_with_checkpointed_steps(db: Database) -> None:
    def first(request: dict[str, Any]) -> Reply:
        app.save(request, ran("a"), ran("b"))
        return reply(206, [op("StepRun", "c")], x_inngest_req_version="2")

    app = App(db, first, lambda _: complete())
    app.engine.start()
    app.engine.drain()
    stack = app.engine.sdk.requests[1]["ctx"]["stack"]
    assert stack == {"stack": [step(name) for name in "abc"], "current": 3}
    assert set(app.engine.sdk.requests[1]["steps"]) == {step(name) for name in "abc"}


def test_a_call_that_is_cut_is_repeated_with_its_checkpoints(db: Database) -> None:
    def second(request: dict[str, Any]) -> Reply:
        app.save(request, ran("b"), ran("c"))
        return Reply(unreachable="the connection was cut")

    steps = [op("StepRun", "a")]
    app = App(
        db, lambda _: reply(206, steps, x_inngest_req_version="2"), second, lambda _: complete()
    )
    app.engine.start()
    app.engine.drain()
    app.engine.advance(seconds=6)
    again = app.engine.sdk.requests[2]["ctx"]
    assert again["stack"] == {"stack": [step(name) for name in "abc"], "current": 3}
    # the checkpoint was progress: the failure counts as the first one
    assert again["attempt"] == 1
    assert again["generation_id"] != app.engine.sdk.requests[1]["ctx"]["generation_id"]


def test_attempts_start_anew_with_a_checkpoint(db: Database) -> None:
    def failing(request: dict[str, Any]) -> Reply:
        app.save(request, ran(f"s{len(app.engine.sdk.requests)}"))
        return reply(500, {"name": "Error", "message": "no"})

    plain = [lambda _: reply(500, {"name": "Error", "message": "no"})] * 2
    app = App(db, *plain, failing, failing, failing, lambda _: complete())
    run_id = app.engine.start()
    app.engine.drain()
    for _ in range(5):
        app.engine.advance(seconds=6)
    assert [r["ctx"]["attempt"] for r in app.engine.sdk.requests] == [0, 1, 2, 1, 1, 1]
    assert app.engine.run(run_id)["status"] == "completed"


def test_request_whose_claim_a_crash_undid_stores_nothing_later(db: Database) -> None:
    """A claim may not be on the disk yet when its request is sent."""
    held: list[dict[str, Any]] = []

    def first(request: dict[str, Any]) -> Reply:
        held.append(request)
        before = {"state": "ready", "lease_id": None, "lease_until": None, "worker": None}
        with db.transaction() as tx:  # as the crash leaves it
            tx.execute(update(QueueItem).values(generation=0, **before))
        [item] = app.engine.queued(request["ctx"]["run_id"])
        run_item.work(app.engine.ctx, [item["id"]])
        return complete(data="late")

    def second(request: dict[str, Any]) -> Reply:
        app.engine.now += timedelta(minutes=1)
        with db.transaction() as tx:
            leases.free_lapsed(tx, app.engine.now, 10)
        with pytest.raises(Superseded):
            app.save(held[0], ran("a", "late"))
        return Reply(unreachable="the connection was cut")

    app = App(db, first, second, lambda _: complete())
    run_id = app.engine.start()
    app.engine.drain()
    app.engine.advance(seconds=6)
    assert app.engine.memo(run_id) == {}
    assert app.engine.run(run_id)["output"] == '"done"'


def test_another_request_for_the_item_supersedes_the_first(db: Database) -> None:
    held: list[dict[str, Any]] = []

    def first(request: dict[str, Any]) -> Reply:
        app.save(request, ran("a", 1))
        held.append(request)
        app.engine.now += timedelta(minutes=1)
        with db.transaction() as tx:
            leases.free_lapsed(tx, app.engine.now, 10)
        # nobody has claimed the item again: the step is kept, and the app must stop
        with pytest.raises(Superseded):
            app.save(request, ran("b", 2))
        [item] = app.engine.queued(request["ctx"]["run_id"])
        run_item.work(app.engine.ctx, [item["id"]])
        return complete(data="late")

    def second(request: dict[str, Any]) -> Reply:
        with pytest.raises(Superseded):
            app.save(held[0], ran("c", "late"))
        app.save(request, ran("c", 3))
        return complete()

    app = App(db, first, second)
    run_id = app.engine.start()
    app.engine.drain()
    assert [memo["data"] for memo in app.engine.memo(run_id).values()] == [1, 2, 3]
    assert app.engine.run(run_id)["output"] == '"done"'


def test_ended_run_stores_no_steps(db: Database) -> None:
    def handler(request: dict[str, Any]) -> Reply:
        cancel(app.engine.ctx, request["ctx"]["run_id"])
        with pytest.raises(Superseded, match="has ended"):
            app.save(request, ran("a"))
        with pytest.raises(Invalid, match="does not exist"):
            context = request["ctx"] | {"run_id": "01JD0000000000000000000009"}
            app.save({"ctx": context}, ran("a"))
        return complete()

    app = App(db, handler)
    run_id = app.engine.start()
    app.engine.drain()
    assert (app.engine.memo(run_id), app.engine.run(run_id)["status"]) == ({}, "cancelled")


def test_a_checkpoint_that_reaches_a_limit_is_refused_whole(db: Database) -> None:
    def handler(request: dict[str, Any]) -> Reply:
        app.save(request, *[ran(str(number)) for number in range(MAX_STEPS - 1)])
        with pytest.raises(TooLarge, match="step limit"):
            app.save(request, ran("last"))
        return reply(206, [ran("last")], x_inngest_req_version="2")

    app = App(db, handler)
    run_id = app.engine.start()
    app.engine.drain()
    run = app.engine.run(run_id)
    assert (run["status"], run["step_count"]) == ("failed", MAX_STEPS)
    assert "InngestErrFunctionOverflowed" in run["output"]


def test_checkpoints_that_share_a_commit(db: Database) -> None:
    app = App(db)
    for _ in range(3):
        app.engine.start()
    jobs = claims.claim(app.engine.ctx, [item_id for _, item_id in app.engine.hinted.hints])
    writes = []
    for job in [*jobs, *jobs]:
        ops = [ran("a", 1), ran(f"b{len(writes)}", 2)]
        body = {"qi_id": checkpoints.token(job.item), "steps": ops}
        given = checkpoints.parse(orjson.dumps(body), job.run.id)
        writes.append(checkpoint.CheckpointWrite(job.run.id, given, app.engine.now))
    with db.transaction() as tx:
        checkpoint.store_all(tx, writes)
    for number, job in enumerate(jobs):
        memo = app.engine.memo(job.run.id)
        assert list(memo) == [step("a"), step(f"b{number}"), step(f"b{number + 3}")]
        assert app.engine.run(job.run.id)["step_count"] == 3


def test_metadata_is_stored_with_its_steps(db: Database) -> None:
    def note(**values: Any) -> list[dict[str, Any]]:
        return [{"kind": "k", "scope": "step", "op": "merge", "values": values}]

    def handler(request: dict[str, Any]) -> Reply:
        app.save(request, ran("a") | {"metadata": note(n=1)})
        app.save(request, ran("a") | {"metadata": note(n=2)})
        app.save(request, ran("b") | {"metadata": note(big="x" * 70_000)})
        return complete(ran("c") | {"metadata": note(n=3)})

    app = App(db, handler)
    run_id = app.engine.start()
    app.engine.drain()
    assert app.engine.run(run_id)["status"] == "completed"
    with db.reading() as tx:
        rows = timeline_rows.metadata_of(tx, run_id)
    found = {row["step"]: orjson.loads(row["content"]) for row in rows}
    assert found == {step("a"): {"n": 1}, step("c"): {"n": 3}}
