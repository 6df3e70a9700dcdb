"""Deferred functions start when their run has ended, however it ends, and once."""

from typing import Any

import orjson
import pytest

from inngest_py.domain.reply import checkpoint as checkpoints
from inngest_py.domain.reply.read import Reply
from inngest_py.engine.work import checkpoint
from inngest_py.engine.work.end_run import cancel
from inngest_py.storage.db.session import Database
from tests.engine.harness import stored_events
from tests.factories import op, reply, step

from .harness import Engine

ADD = op("DeferAdd", "later", opts={"fn_slug": "app-later", "input": {"n": 1}})
ABORT = op("DeferAbort", "later:abort", opts={"target_hashed_id": step("later")})
COMPLETE = {"op": "RunComplete", "id": step("complete"), "data": 1}
FAILED = {"op": "StepFailed", "id": step("complete"), "error": {"name": "E", "message": "no"}}
ERROR = FAILED | {"op": "StepError"}


class App(Engine):
    """An engine whose SDK gives the answers it was made with."""

    def __init__(self, db: Database, *answers: list[dict[str, Any]]) -> None:
        left = list(answers)
        super().__init__(
            db, lambda *_: reply(206, left.pop(0), x_inngest_req_version="2"), retries=1
        )

    def scheduled(self) -> list[Any]:
        with self.ctx.db.reading() as tx:
            found = stored_events(tx, "inngest/deferred.schedule")
        return [orjson.loads(row["payload"])["data"] for row in found]


@pytest.mark.parametrize(
    ("answers", "status", "count"),
    [
        ([[ADD, COMPLETE]], "completed", 1),
        ([[op("StepRun", "a"), ADD], [COMPLETE]], "completed", 1),
        ([[op("StepRun", "a"), ADD], [ABORT, COMPLETE]], "completed", 0),
        ([[op("StepRun", "a"), ADD], [op("StepRun", "b"), ADD], [COMPLETE]], "completed", 1),
        ([[ADD, FAILED]], "failed", 1),
        ([[ADD, ERROR], [ERROR]], "failed", 1),
        ([[op("DeferAdd", "later"), COMPLETE]], "completed", 0),
    ],
)
def test_a_run_s_end_starts_what_it_deferred(
    db: Database, answers: list[Any], status: str, count: int
) -> None:
    app = App(db, *answers)
    run_id = app.start()
    app.drain()
    app.advance(seconds=6)
    assert app.run(run_id)["status"] == status
    routing = {"fn_slug": "app-later", "parent_fn_slug": "app-fn", "parent_run_id": run_id}
    assert app.scheduled() == [{"n": 1, "_inngest": routing}] * count


def test_requests_list_what_was_deferred(db: Database) -> None:
    app = App(db, [op("StepRun", "a"), ADD], [op("StepRun", "b"), ABORT], [COMPLETE])
    app.start()
    app.drain()
    assert [request.get("defers") for request in app.sdk.requests] == [
        None,
        {step("later"): {"abortable": True}},
        {step("later"): {"abortable": False}},
    ]


def test_checkpoint_defers_a_function_and_a_cancelled_run_starts_it(db: Database) -> None:
    def script(request: dict[str, Any], _: str) -> Reply:
        context = request["ctx"]
        body = {"qi_id": context["qi_id"], "steps": [op("StepRun", "a"), ADD]}
        given = checkpoints.parse(orjson.dumps(body), context["run_id"])
        checkpoint.store(app.ctx, context["run_id"], given)
        cancel(app.ctx, context["run_id"])
        return reply(500, "late")

    app = App(db)
    app.sdk.script = script
    app.start()
    app.drain()
    assert [data["n"] for data in app.scheduled()] == [1]
