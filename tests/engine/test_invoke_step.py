"""Steps that invoke functions, on both databases."""

from typing import Any

import orjson
import pytest

from inngest_py.domain.reply.read import Reply
from inngest_py.engine.work.end_run import cancel
from inngest_py.storage.db.session import Database
from inngest_py.storage.events import events
from inngest_py.storage.queries import run_list
from tests.engine.harness import Engine, Script, stored_events
from tests.engine.shop import Shop
from tests.engine.waiting import (
    add_functions,
    by_event,
    invoke,
    open_waits,
    returning,
    tried,
    waits,
)
from tests.factories import op, reply, step

INVOKED = "inngest/function.invoked"


def parent(db: Database, child: Script, *ops: dict[str, Any], version: str = "2") -> Engine:
    script = by_event({"a/b": waits(*(ops or (invoke(),)), version=version), INVOKED: child})
    engine = Engine(db, script)
    add_functions(engine, {"app-fn": "a/b", "app-child": "c/d"})
    return engine


def started(engine: Engine) -> str:
    run_id = engine.start()
    engine.drain()
    return run_id


def child_of(engine: Engine) -> str:
    with engine.ctx.db.reading() as tx:
        (event,) = stored_events(tx, INVOKED)
        return str(run_list.of_event(tx, event["id"])[0]["id"])


@pytest.mark.parametrize(
    ("child", "memo"),
    [
        (returning(200, {"ok": 1}), {"data": {"ok": 1}}),
        (returning(200, b"null"), {"data": None}),
        (
            returning(400, {"name": "E", "message": "m"}, x_inngest_no_retry="true"),
            {"error": {"error": "NonRetriableError", "name": "E", "message": "m"}},
        ),
    ],
)
def test_the_child_s_end_is_the_step_s_result(db: Database, child: Script, memo: Any) -> None:
    engine = parent(db, child)
    run_id = started(engine)
    assert engine.run(run_id)["status"] == "completed"
    assert engine.memo(run_id) == {step("i"): memo}
    assert not open_waits(engine, run_id)
    info = orjson.loads(tried(engine, run_id, "i")[1]["info"])
    assert info["runID"] == child_of(engine)
    assert info["functionID"] == "app-child"
    assert info["timedOut"] is False
    with db.reading() as tx:
        asked = events.get(tx, info["triggeringEventID"])
        answered = events.get(tx, info["returnEventID"])
    assert asked is not None
    assert answered is not None
    assert orjson.loads(asked["payload"])["data"]["_inngest"]["correlation_id"] == (
        f"{run_id}.{step('i')}"
    )


def test_sdk_gets_rounded_integers_that_a_task_keeps(db: Database) -> None:
    """SDKs check signatures over canonical JSON, whose numbers are doubles."""
    number = 2**53 + 1
    engine = Shop(db)
    engine.sdk.script = waits(
        invoke(function="shop-shop.add", payload={"data": {"args": [number]}})
    )
    add_functions(engine, {"app-fn": "a/b"})
    run_id = engine.start(data={"id": number})
    engine.drain()
    [message] = engine.take()
    assert message.args == [number]
    engine.answer(message, value=number)
    assert engine.run(run_id)["status"] == "completed"
    assert engine.memo(run_id) == {step("i"): {"data": number - 1}}
    sent = [request["event"]["data"]["id"] for request in engine.sdk.requests]
    assert sent == [number - 1] * 2


@pytest.mark.parametrize("how", ["cancelled", "empty"])
def test_a_child_without_result_or_error_gives_the_event_s_data(db: Database, how: str) -> None:
    engine = parent(db, returning(200, b""))
    inner = engine.sdk.script

    def script(request: dict[str, Any], target: str) -> Reply:
        if how == "cancelled" and request["event"]["name"] == INVOKED:
            cancel(engine.ctx, request["ctx"]["run_id"])
        return inner(request, target)

    engine.sdk.script = script
    run_id = started(engine)
    data = engine.memo(run_id)[step("i")]["data"]
    assert data["function_id"] == "app-child"
    assert data["_inngest"]["status"] == ("Cancelled" if how == "cancelled" else "Completed")
    assert "result" not in data


def test_an_unknown_target_fails_the_step(db: Database) -> None:
    engine = parent(db, returning(200, 1), invoke(function="app-none"))
    run_id = started(engine)
    error = {"message": "could not find function with ID: app-none", "name": "Error"}
    assert engine.memo(run_id) == {step("i"): {"error": error}}
    assert engine.run(run_id)["status"] == "completed"


def test_an_invocation_starts_only_its_target(db: Database) -> None:
    engine = parent(db, returning(200, 1))
    add_functions(engine, {"app-fn": "a/b", "app-child": "c/d", "app-spy": INVOKED})
    started(engine)
    with db.reading() as tx:
        (event,) = stored_events(tx, INVOKED)
        assert [row["function_slug"] for row in run_list.of_event(tx, event["id"])] == ["app-child"]


def test_the_payload_reaches_the_child(db: Database) -> None:
    seen: list[Any] = []

    def child(request: dict[str, Any], target: str) -> Reply:
        seen.append(request["event"])
        return reply(200, 1)

    payload = {"data": {"a": 1}, "user": {"u": 2}, "v": "3", "id": "mine"}
    started(parent(db, child, invoke(payload=payload)))
    (event,) = seen
    routing = event["data"].pop("_inngest")
    assert (event["data"], event["user"], event["v"], event["id"]) == (
        {"a": 1},
        {"u": 2},
        "3",
        "mine",
    )
    assert routing["fn_id"] == "app-child"
    assert {"source_app_id", "source_fn_id", "source_fn_v", "expire", "name"} <= set(routing)


def test_an_invocation_that_times_out_leaves_the_child_running(db: Database) -> None:
    engine = parent(db, waits(op("Sleep", "z", name="2h")), invoke(timeout="1h"))
    run_id = started(engine)
    engine.advance(hours=1)
    error = engine.memo(run_id)[step("i")]["error"]
    assert error["name"] == "InngestInvokeTimeoutError"
    assert engine.run(run_id)["status"] == "completed"
    child = child_of(engine)
    assert engine.run(child)["status"] == "running"
    engine.advance(hours=1)
    assert engine.run(child)["status"] == "completed"


def test_cancelling_the_parent_leaves_the_child_running(db: Database) -> None:
    engine = parent(db, waits(op("Sleep", "z", name="2h")))
    run_id = started(engine)
    cancel(engine.ctx, run_id)
    assert engine.run(child_of(engine))["status"] == "running"
    engine.advance(hours=2)
    assert engine.run(child_of(engine))["status"] == "completed"


def test_children_of_children_answer_one_another(db: Database) -> None:
    depth = 3

    def child(request: dict[str, Any], target: str) -> Reply:
        level = request["event"]["data"]["level"]
        if level == depth:
            return reply(200, level)
        memo = request["steps"].get(step("n"))
        if memo is not None:
            return reply(200, [level, memo["data"]])
        inner = invoke("n", payload={"data": {"level": level + 1}})
        return reply(206, [inner], x_inngest_req_version="2")

    engine = parent(db, child, invoke(payload={"data": {"level": 1}}))
    run_id = started(engine)
    assert engine.memo(run_id)[step("i")] == {"data": [1, [2, 3]]}


@pytest.mark.parametrize("version", ["1", "2"])
def test_many_invocations_of_one_answer_start_each_child_once(db: Database, version: str) -> None:
    ops = [invoke(f"i{n}", payload={"data": {"n": n}}) for n in range(10)]

    def child(request: dict[str, Any], target: str) -> Reply:
        return reply(200, request["event"]["data"]["n"])

    engine = parent(db, child, *ops, version=version)
    run_id = started(engine)
    assert orjson.loads(engine.run(run_id)["output"]) == [{"data": n} for n in range(10)]
    with db.reading() as tx:
        assert len(stored_events(tx, INVOKED)) == 10
