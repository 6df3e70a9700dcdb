"""Timelines as GraphQL shows them, of runs that went through the engine (api.md §5.5)."""

import json
from typing import Any

import pytest

from tests.api.conftest import Service
from tests.api.gql import ask, refused
from tests.engine.harness import parallel, sequence
from tests.factories import op, reply, step

AT = "2026-01-02T03:04:05Z"


def outline(span: dict[str, Any]) -> list[Any]:
    """Write a span's children as (name, status, op, attempts, names of children)."""
    return [
        (
            child["name"],
            child["status"],
            child["stepOp"],
            child["attempts"],
            [one["name"] for one in child["childrenSpans"]],
        )
        for child in span["childrenSpans"]
    ]


def output(service: Service, span: dict[str, Any]) -> Any:
    assert span["outputID"]
    return ask(service, "runTraceSpanOutputByID", id=span["outputID"])


def test_steps_and_their_outputs(service: Service) -> None:
    run_id = service.engine.start()
    service.engine.drain()
    trace = ask(service, "runTrace", id=run_id)
    assert ask(service, "run", id=run_id)["trace"] == trace
    assert (trace["name"], trace["isRoot"], trace["status"]) == ("Run", True, "COMPLETED")
    assert (trace["parentSpanID"], trace["parentSpan"], trace["duration"]) == (None, None, 0)
    assert outline(trace) == [
        ("one", "COMPLETED", "RUN", 0, []),
        ("two", "COMPLETED", "RUN", 0, []),
        ("Finalization", "COMPLETED", None, 0, []),
    ]
    one, _, final = trace["childrenSpans"]
    assert one["stepID"] == step("one")
    assert (one["stepType"], final["stepType"]) == ("RUN", "FINALIZATION")
    assert one["parentSpanID"] == one["parentSpan"]["spanID"] == trace["spanID"]
    assert one["response"] == {"statusCode": 206, "headers": None}
    assert one["run"] == {"id": run_id}
    assert len({span["traceID"] for span in (trace, one, final)}) == 1
    assert len({span["spanID"] for span in (trace, *trace["childrenSpans"])}) == 4
    assert output(service, one) == {"input": None, "data": "0", "error": None}
    for span in (trace, final):
        assert output(service, span) == {"input": None, "data": '{"done":2}', "error": None}


def test_inputs_of_steps(service: Service) -> None:
    opts = {"type": "step.run", "input": [{"b": 1, "a": "é"}, 2]}
    error = {"name": "E", "message": "m"}

    def script(request: dict[str, Any], target: str) -> Any:
        if step("one") in request["steps"]:
            return reply(200, "ok")
        code = "StepRun" if request["ctx"]["attempt"] else "StepError"
        return reply(206, [op(code, "one", data=1, error=error, opts=opts)])

    service.engine.sdk.script = script
    run_id = service.engine.start()
    service.engine.drain()
    service.engine.advance(seconds=10)
    [one, _] = ask(service, "runTrace", id=run_id)["childrenSpans"]
    given = '[{"a":"é","b":1},2]'
    for span, data in ((one, "1"), (one["childrenSpans"][0], None), (one["childrenSpans"][1], "1")):
        assert (found := output(service, span))["input"] == given
        assert found["data"] == data
    shown = service.client.get(f"/v2/runs/{run_id}/trace?includeOutput=true").json["data"]
    first = shown["rootSpan"]["children"][0]
    assert (first["input"], first["output"]) == ([{"a": "é", "b": 1}, 2], 1)


def test_retries_and_failures(service: Service) -> None:
    error = {"name": "TypeError", "message": "boom", "stack": "at x", "cause": {"n": 1}}

    def script(request: dict[str, Any], target: str) -> Any:
        if step("flaky") not in request["steps"]:
            code = "StepFailed" if request["ctx"]["attempt"] == 2 else "StepError"
            return reply(206, [op(code, "flaky", error=error)])
        failed = {"name": "Error", "message": "so it ends"}
        return reply(400, failed, x_inngest_no_retry="true")

    service.engine.sdk.script = script
    run_id = service.engine.start()
    service.engine.drain()
    [retrying] = ask(service, "runTrace", id=run_id)["childrenSpans"]
    assert (retrying["status"], retrying["endedAt"], retrying["duration"]) == ("QUEUED", None, None)
    assert [one["status"] for one in retrying["childrenSpans"]] == ["FAILED", "QUEUED"]
    for _ in range(3):
        service.engine.advance(seconds=10)
    trace = ask(service, "runTrace", id=run_id)
    assert (trace["status"], trace["attempts"]) == ("FAILED", 2)
    numbers = ["Attempt 0", "Attempt 1", "Attempt 2"]
    assert outline(trace) == [
        ("flaky", "FAILED", "RUN", 2, numbers),
        ("Finalization", "FAILED", None, 0, ["Attempt 0"]),
    ]
    flaky, final = trace["childrenSpans"]
    for span in (flaky, *flaky["childrenSpans"]):
        assert output(service, span) == {"input": None, "data": None, "error": error}
        assert span["response"]["headers"] == {"x-inngest-sdk": "py:v1"}
    for one in service.client.get(f"/api/v1/runs/{run_id}").json["data"]["attempts"]:
        assert one["info"] is None
        assert one["answer_headers"]["x-inngest-sdk"] == "py:v1"
    ended = {"name": "Error", "message": "so it ends", "stack": None, "cause": None}
    for span in (trace, final):
        assert output(service, span)["error"] == ended
    told = json.loads(ask(service, "run", id=run_id)["output"])
    assert (told["name"], told["message"]) == ("Error", "so it ends")


def test_parallel_steps(service: Service) -> None:
    service.engine.sdk.script = parallel("a", "b")
    run_id = service.engine.start()
    service.engine.drain()
    trace = ask(service, "runTrace", id=run_id)
    names = [child["name"] for child in trace["childrenSpans"]]
    assert (sorted(names[:2]), names[2:]) == (["a", "b"], ["Finalization"])
    assert all(child["childrenSpans"] == [] for child in trace["childrenSpans"])


def test_a_sleep(service: Service) -> None:
    def script(request: dict[str, Any], target: str) -> Any:
        done = step("nap") in request["steps"]
        return reply(200, "ok") if done else reply(206, [op("Sleep", "nap", name="1m")])

    service.engine.sdk.script = script
    run_id = service.engine.start()
    service.engine.drain()
    info = {"__typename": "SleepStepInfo", "sleepUntil": "2026-01-02T03:05:05Z"}
    [nap] = ask(service, "runTrace", id=run_id)["childrenSpans"]
    assert (nap["status"], nap["stepOp"], nap["stepType"]) == ("WAITING", "SLEEP", "SLEEP")
    assert (nap["startedAt"], nap["endedAt"], nap["stepInfo"]) == (AT, None, info)
    service.engine.advance(seconds=90)  # the worker resumes it too late
    nap, final = ask(service, "runTrace", id=run_id)["childrenSpans"]
    assert (nap["status"], nap["duration"], nap["stepInfo"]) == ("COMPLETED", 90_000, info)
    assert (nap["outputID"], final["name"]) == (None, "Finalization")


def test_steps_cut_off_by_the_end_of_their_run(service: Service) -> None:
    def script(request: dict[str, Any], target: str) -> Any:
        if target != "step":
            return reply(206, [op("StepError", "b", error={"name": "Error", "message": "no"})])
        return reply(206, [op("Sleep", "nap", name="1h"), op("StepPlanned", "b")])

    service.engine.sdk.script = script
    run_id = service.engine.start()
    service.engine.drain()
    service.engine.advance(seconds=2)
    assert service.client.delete(f"/v1/runs/{run_id}").status_code == 200
    trace = ask(service, "runTrace", id=run_id)
    assert outline(trace) == [
        ("b", "CANCELLED", "RUN", 1, ["Attempt 0", "Attempt 1"]),
        ("nap", "CANCELLED", "SLEEP", 0, []),
        ("Cancellation", "CANCELLED", None, 0, []),
    ]
    retried, nap, why = trace["childrenSpans"]
    assert (nap["startedAt"], nap["endedAt"], nap["outputID"]) == (AT, "2026-01-02T03:04:07Z", None)
    assert nap["stepInfo"] == {"__typename": "SleepStepInfo", "sleepUntil": "2026-01-02T04:04:05Z"}
    assert [one["status"] for one in retried["childrenSpans"]] == ["FAILED", "CANCELLED"]
    assert output(service, why)["error"]["message"] == "Cancelled by request."


def test_types_of_steps(service: Service) -> None:
    def script(request: dict[str, Any], target: str) -> Any:
        if request["steps"]:
            return reply(206, [{"op": "RunComplete", "id": step("complete"), "data": {"x": [1]}}])
        return reply(206, [op("StepRun", "send", data=None, opts={"type": "step.sendEvent"})])

    service.engine.sdk.script = script
    run_id = service.engine.start()
    service.engine.drain()
    send, _ = ask(service, "runTrace", id=run_id)["childrenSpans"]
    assert (send["stepOp"], send["stepType"]) == ("RUN", "step.sendEvent")
    assert send["stepInfo"] == {"__typename": "RunStepInfo", "type": "step.sendEvent"}
    assert output(service, send)["data"] in (None, "null")
    assert ask(service, "run", id=run_id)["output"] == '{"x":[1]}'
    assert ask(service, "functionRun", id=run_id)["output"] == '{"x":[1]}'


def test_a_run_that_has_not_started(service: Service) -> None:
    service.engine.sdk.script = sequence()
    run_id = service.engine.start()
    trace = ask(service, "runTrace", id=run_id)
    assert (trace["status"], trace["childrenSpans"]) == ("QUEUED", [])
    assert (trace["startedAt"], trace["endedAt"], trace["outputID"]) == (None, None, None)


@pytest.mark.parametrize(
    "token", ["", "x", "W10", "bnVsbA", "é", "x" * 10_000, "WyJ4IixudWxsLG51bGxd"]
)
def test_bad_output_ids(lasting: Service, token: str) -> None:
    assert "outputID" in refused(lasting, "runTraceSpanOutputByID", id=token)


def test_a_run_that_was_skipped(service: Service) -> None:
    function = service.function_of("app", "app-fn")["internal_id"]
    paused = service.client.post(f"/v1/functions/{function}/pause", json={"events": "skip"})
    assert paused.status_code == 200, paused.json
    run_id = service.engine.start()
    trace = ask(service, "run", id=run_id)["trace"]
    assert (trace["status"], trace["skipReason"]) == ("SKIPPED", "FunctionPaused")
    assert (trace["skipExistingRunID"], trace["childrenSpans"]) == (None, [])
    found = ask(service, "runs", filter={"from": "2020-01-01T00:00:00Z", "status": ["SKIPPED"]})
    assert [edge["node"]["id"] for edge in found["edges"]] == [run_id]


def test_a_run_that_a_singleton_skipped(service: Service) -> None:
    service.engine.register(singleton={"mode": "skip"})
    running, skipped = service.engine.start(), service.engine.start()
    trace = ask(service, "run", id=skipped)["trace"]
    assert (trace["status"], trace["skipReason"]) == ("SKIPPED", "Singleton")
    assert trace["skipExistingRunID"] == running


def test_metadata(service: Service) -> None:
    run_id = service.engine.start()
    service.engine.drain()
    one, two = step("one"), step("two")
    for target, kind in (
        ({}, "userland.run"),
        ({"step_id": one}, "userland.step"),
        ({"step_id": two, "step_attempt": 0}, "userland.attempt"),
    ):
        note = {"kind": kind, "op": "merge", "values": {"x": 1}}
        sent = {"target": target, "metadata": [note]}
        response = service.client.post(f"/v1/runs/{run_id}/metadata", json=sent)
        assert response.status_code == 200, response.json
    trace = ask(service, "runTrace", id=run_id)
    found = {
        span["name"]: [(one["scope"], one["kind"], one["values"]) for one in span["metadata"]]
        for span in (trace, *trace["childrenSpans"])
    }
    assert found == {
        "Run": [("run", "userland.run", {"x": 1})],
        "one": [("step", "userland.step", {"x": 1})],
        "two": [("step_attempt", "userland.attempt", {"x": 1})],
        "Finalization": [],
    }


OLDER = """query($id: String!) { run(runID: $id) { trace(preview: false) {
  name status attempts stepOp outputID isRoot childrenSpans {
    name status attempts stepOp outputID isRoot childrenSpans {
      name status attempts stepOp outputID isRoot childrenSpans { name } } } } } }"""


def older(service: Service, run_id: str, query: str = OLDER) -> dict[str, Any]:
    answer = service.client.post("/v0/gql", json={"query": query, "variables": {"id": run_id}})
    trace: dict[str, Any] = answer.json["data"]["run"]["trace"]
    return trace


def test_older_timeline_names_the_output_of_a_function(service: Service) -> None:
    service.engine.sdk.script = sequence("one", "two")
    run_id = service.engine.start()
    service.engine.drain()
    trace = older(service, run_id)
    assert (trace["name"], trace["isRoot"], trace["status"]) == ("Run", True, "COMPLETED")
    assert outline(trace) == [
        ("one", "COMPLETED", "RUN", 0, []),
        ("two", "COMPLETED", "RUN", 0, []),
        ("function success", "COMPLETED", None, 0, []),
    ]
    by_default = older(service, run_id, OLDER.replace("(preview: false)", ""))
    assert by_default == trace


def test_the_older_timeline_groups_a_failed_request_with_the_step_its_retry_found(
    service: Service,
) -> None:
    def script(request: dict[str, Any], target: str) -> Any:
        if request["ctx"]["attempt"] == 0 and not request["steps"]:
            return reply(500, {"name": "Error", "message": "not yet"})
        return sequence("one")(request, target)

    service.engine.sdk.script = script
    run_id = service.engine.start()
    service.engine.drain()
    trace = older(service, run_id)
    assert trace["status"] == "RUNNING"
    assert outline(trace) == [("execute", "RUNNING", None, 1, ["Attempt 0"])]
    [waits] = trace["childrenSpans"]
    assert waits["childrenSpans"][0]["status"] == "FAILED"
    assert output(service, waits["childrenSpans"][0])["error"]["message"] == "not yet"
    service.engine.advance(seconds=30)
    trace = older(service, run_id)
    assert outline(trace) == [
        ("one", "COMPLETED", "RUN", 1, ["Attempt 0", "Attempt 1"]),
        ("function success", "COMPLETED", None, 0, []),
    ]
    statuses = [one["status"] for one in trace["childrenSpans"][0]["childrenSpans"]]
    assert statuses == ["FAILED", "COMPLETED"]


def test_the_older_timeline_of_a_run_that_fails(service: Service) -> None:
    service.engine.sdk.script = lambda *_: reply(500, {"name": "Error", "message": "no"})
    run_id = service.engine.start()
    for _ in range(4):
        service.engine.advance(seconds=30)
    numbers = ["Attempt 0", "Attempt 1", "Attempt 2"]
    trace = older(service, run_id)
    assert outline(trace) == [("function error", "FAILED", None, 2, numbers)]
    assert output(service, trace["childrenSpans"][0])["error"]["message"] == "no"


def test_the_older_timeline_shows_a_request_under_way(service: Service) -> None:
    seen: list[Any] = []

    def script(request: dict[str, Any], target: str) -> Any:
        seen.append(outline(older(service, request["ctx"]["run_id"])))
        return reply(200, 1)

    service.engine.sdk.script = script
    service.engine.start()
    service.engine.drain()
    assert seen == [[("execute", "RUNNING", None, 0, [])]]


def test_metadata_of_models_has_their_cost(service: Service) -> None:
    run_id = service.engine.start()
    told = {"model": "gpt-4o-2024-08-06", "input_tokens": 1000, "output_tokens": 100}
    body = {"metadata": [{"kind": "inngest.ai", "values": told}]}
    assert service.client.post(f"/v1/runs/{run_id}/metadata", json=body).status_code == 200
    [shown] = ask(service, "runTrace", id=run_id)["metadata"]
    assert shown["values"] == told | {"estimated_cost": 0.0035}
    trace = service.client.get(f"/v2/runs/{run_id}/trace").json["data"]["rootSpan"]
    assert trace["metadata"][0]["values"] == told | {"estimated_cost": 0.0035}
