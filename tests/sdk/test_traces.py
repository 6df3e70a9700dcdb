"""The timelines of the official SDKs' runs, as their own suites read them (api.md §5.5)."""

import json
from typing import Any

import pytest

from tests.api.gql import QUERIES

from .conftest import Sent

DONE, FAILED = "COMPLETED", "FAILED"
FINAL = ("Finalization", DONE, [])


def _trace(sent: Sent, scenario: str) -> dict[str, Any]:
    run = sent.api.run(sent.event_ids[scenario])
    shown = sent.api.gql(QUERIES["run"], id=run["run_id"])
    assert shown["trace"]["status"] == shown["status"] == run["status"].upper()
    if run.get("output") is not None:
        assert json.loads(shown["output"]) == run["output"]
    trace: dict[str, Any] = shown["trace"]
    assert trace["name"] == "Run"
    return trace


def _outline(span: dict[str, Any]) -> list[Any]:
    return [
        (one["name"], one["status"], [inner["status"] for inner in one["childrenSpans"]])
        for one in span["childrenSpans"]
    ]


def _output(sent: Sent, span: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = sent.api.gql(QUERIES["runTraceSpanOutputByID"], id=span["outputID"])
    return found


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        ("noop", []),
        ("sequential", [("a", DONE, []), ("b", DONE, []), ("c", DONE, [])]),
        ("sleep", [("before", DONE, []), ("rest", DONE, []), ("after", DONE, [])]),
        ("retry", [("flaky", DONE, [FAILED, FAILED, DONE])]),
        ("retry_after", [("later", DONE, [FAILED, DONE])]),
    ],
)
def test_steps(sent: Sent, scenario: str, expected: list[Any]) -> None:
    if scenario == "retry_after" and sent.app.kind.startswith("python"):
        # the Python SDK answers these errors of steps as errors of the function
        expected = [("Discovery step", DONE, [FAILED]), ("later", DONE, [])]
    assert _outline(_trace(sent, scenario)) == [*expected, FINAL]


def test_parallel_steps(sent: Sent) -> None:
    found = _outline(_trace(sent, "parallel"))
    assert sorted(found[:3]) == [("a", DONE, []), ("b", DONE, []), ("c", DONE, [])]
    assert found[3:] == [("sum", DONE, []), FINAL]


def test_outputs_and_kinds(sent: Sent) -> None:
    a, _, c, final = _trace(sent, "sequential")["childrenSpans"]
    assert (a["stepOp"], _output(sent, a)["data"], _output(sent, c)["data"]) == ("RUN", "1", "3")
    assert final["stepType"] == "FINALIZATION"
    assert json.loads(_output(sent, final)["data"]) == [1, 2, 3]
    _, rest, *_ = _trace(sent, "sleep")["childrenSpans"]
    assert (rest["stepOp"], rest["stepInfo"]["__typename"]) == ("SLEEP", "SleepStepInfo")
    assert rest["duration"] >= 900


def test_a_function_that_is_retried(sent: Sent) -> None:
    found = _outline(_trace(sent, "function_retry"))
    assert found == [("Finalization", DONE, [FAILED, FAILED, DONE])]


@pytest.mark.parametrize(
    ("scenario", "step", "message"),
    [("failure", "boom", "boom"), ("no_retry", "hopeless", "never")],
)
def test_failures(sent: Sent, scenario: str, step: str, message: str) -> None:
    trace = _trace(sent, scenario)
    expected = [(step, FAILED, [FAILED]), ("Finalization", FAILED, [FAILED])]
    if scenario == "no_retry" and sent.app.kind.startswith("python"):
        expected = expected[1:]  # such an error of a step is the function's
    assert _outline(trace) == expected
    for span in (*trace["childrenSpans"], trace):
        assert _output(sent, span)["error"]["message"] == message


def test_a_failure_that_the_function_caught(sent: Sent) -> None:
    found = _outline(_trace(sent, "caught"))
    assert found == [("bad", FAILED, [FAILED]), ("after", DONE, []), FINAL]


def test_runs_are_found_by_their_output(sent: Sent) -> None:
    run = sent.api.run(sent.event_ids["caught"])
    chosen = {
        "from": "2020-01-01T00:00:00Z",
        "query": f"output.caught == 'bad luck' && event.name == '{sent.app.kind}/caught'",
    }
    found = sent.api.gql(QUERIES["runs"], filter=chosen)
    assert [edge["node"]["id"] for edge in found["edges"]] == [run["run_id"]]
