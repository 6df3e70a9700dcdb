"""Waits in timelines: what they wait for, what ended them, and their output (api.md §5.5)."""

import json
from typing import Any

from tests.api.conftest import Service
from tests.api.gql import ask
from tests.engine import waiting
from tests.engine.harness import Script

UNTIL = "2026-01-02T04:04:05Z"


def begin(service: Service, script: Script) -> str:
    service.engine.sdk.script = script
    run_id = service.engine.start(data={"n": 1})
    service.engine.drain()
    return run_id


def first(service: Service, run_id: str) -> dict[str, Any]:
    span: dict[str, Any] = ask(service, "runTrace", id=run_id)["childrenSpans"][0]
    return span


def output(service: Service, span: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = ask(service, "runTraceSpanOutputByID", id=span["outputID"])
    return found


def test_a_wait_for_an_event(service: Service) -> None:
    condition = "async.data.n == event.data.n"
    run_id = begin(service, waiting.waits(waiting.for_event(**{"if": condition})))
    span = first(service, run_id)
    info = {
        "__typename": "WaitForEventStepInfo",
        "eventName": "x/y",
        "expression": condition,
        "timeout": UNTIL,
        "foundEventID": None,
        "timedOut": None,
    }
    assert (span["status"], span["stepOp"], span["stepInfo"]) == (
        "WAITING",
        "WAIT_FOR_EVENT",
        info,
    )
    assert (span["endedAt"], span["duration"], span["outputID"]) == (None, None, None)
    service.engine.advance(seconds=2)
    event_id = waiting.send(service.engine, data={"n": 1})
    span = first(service, run_id)
    assert span["stepInfo"] == info | {"foundEventID": event_id, "timedOut": False}
    assert (span["status"], span["childrenSpans"]) == ("COMPLETED", [])
    assert span["duration"] == 2000
    given = json.loads(output(service, span)["data"])
    assert (given["name"], given["data"]) == ("x/y", {"n": 1})


def test_a_wait_that_times_out(service: Service) -> None:
    run_id = begin(service, waiting.waits(waiting.for_event()))
    service.engine.advance(hours=1)
    span = first(service, run_id)
    assert (span["status"], span["stepInfo"]["timedOut"]) == ("COMPLETED", True)
    assert output(service, span) == {"input": None, "data": None, "error": None}


def test_wait_of_a_cancelled_run(service: Service) -> None:
    run_id = begin(service, waiting.waits(waiting.for_event()))
    service.client.delete(f"/v1/runs/{run_id}")
    assert first(service, run_id)["status"] == "CANCELLED"


def test_an_invocation(service: Service) -> None:
    engine = service.engine
    waiting.add_functions(engine, {"app-fn": "a/b", "app-child": "child/x"})
    error = {"name": "TypeError", "message": "boom"}
    for status, body, shown, gave in (
        (200, {"x": 1}, "COMPLETED", {"data": '{"x":1}', "error": None}),
        (500, error, "FAILED", {"data": None, "error": {**error, "stack": None, "cause": None}}),
    ):
        child = waiting.returning(status, body, x_inngest_no_retry="true")
        parent = waiting.waits(waiting.invoke())
        scripts = {"a/b": parent, "inngest/function.invoked": child}
        run_id = begin(service, waiting.by_event(scripts))
        span = first(service, run_id)
        info = span["stepInfo"]
        assert (span["status"], span["stepOp"]) == (shown, "INVOKE")
        assert (info["__typename"], info["functionID"]) == ("InvokeStepInfo", "app-child")
        assert info["timedOut"] is False
        assert ask(service, "run", id=info["runID"])["triggerIDs"] == [info["triggeringEventID"]]
        returned = ask(service, "eventV2", id=info["returnEventID"])
        assert returned["name"] == "inngest/function.finished"
        assert output(service, span) == {"input": None, **gave}


def test_an_invocation_under_way_names_the_run_that_it_waits_for(service: Service) -> None:
    engine = service.engine
    waiting.add_functions(engine, {"app-fn": "a/b", "app-child": "child/x"})
    child = waiting.waits(waiting.for_event())
    scripts = {"a/b": waiting.waits(waiting.invoke()), "inngest/function.invoked": child}
    run_id = begin(service, waiting.by_event(scripts))
    span = first(service, run_id)
    assert (span["status"], span["stepOp"], span["endedAt"]) == ("RUNNING", "INVOKE", None)
    child_id = span["stepInfo"]["runID"]
    assert engine.run(child_id)["function_slug"] == "app-child"
    service.client.delete(f"/v1/runs/{run_id}")
    assert first(service, run_id)["status"] == "CANCELLED"


def test_a_signal(service: Service) -> None:
    run_id = begin(service, waiting.waits(waiting.for_signal()))
    span = first(service, run_id)
    info = {
        "__typename": "WaitForSignalStepInfo",
        "signal": "sig",
        "timeout": UNTIL,
        "timedOut": None,
    }
    assert (span["status"], span["stepInfo"]) == ("WAITING", info)
    response = service.client.post("/v1/signals", json={"signal": "sig", "data": [1]})
    assert response.status_code == 200, response.json
    service.engine.drain()
    span = first(service, run_id)
    assert (span["status"], span["stepInfo"]) == ("COMPLETED", info | {"timedOut": False})
    assert json.loads(output(service, span)["data"]) == {"data": [1], "signal": "sig"}
