"""The official SDKs wait for events, invoked functions and signals."""

from typing import Any

import pytest

from .conftest import Sent

TIMED_OUT = "Timed out waiting for invoked function to complete"


def _output(sent: Sent, scenario: str) -> Any:
    run = sent.api.run(sent.event_ids[scenario])
    assert run["status"] == "Completed", f"{run}\n{sent.app.log_tail()}"
    return run["output"]


def test_the_event_that_meets_the_condition_ends_the_wait(sent: Sent) -> None:
    assert _output(sent, "wait") == [f"{sent.app.kind}/awaited", 2]


def test_no_event_meets_the_condition_in_time(sent: Sent) -> None:
    assert _output(sent, "wait_in_vain") is None


def test_no_event_comes_in_time(sent: Sent) -> None:
    assert _output(sent, "wait_timeout") == "timed out"


def test_invoke(sent: Sent) -> None:
    assert _output(sent, "invoke") == {"got": 7}


def test_invoke_by_id(sent: Sent) -> None:
    assert _output(sent, "invoke_by_id") == {"got": 8}


def test_invoke_side_by_side(sent: Sent) -> None:
    assert _output(sent, "invoke_many") == [{"got": n} for n in range(3)]


def test_an_invoked_function_that_fails_is_caught(sent: Sent) -> None:
    assert "child broke" in _output(sent, "invoke_fails")[1]


def test_an_invocation_that_times_out_is_caught(sent: Sent) -> None:
    name, message = _output(sent, "invoke_timeout")
    assert name in ("InngestInvokeTimeoutError", "StepError")
    assert TIMED_OUT in message


def test_an_unknown_function_is_an_error_of_the_step(sent: Sent) -> None:
    (_, message) = _output(sent, "invoke_unknown")
    assert f"could not find function with ID: {sent.app.kind}-nobody" in message


def test_signal_resumes_its_wait(sent: Sent) -> None:
    if sent.app.kind not in ("ts-v4", "ts-connect"):
        pytest.skip("only version 4 of the TypeScript SDK is tested with signals")
    assert _output(sent, "signal") == [{"n": 5}, True]
    assert _output(sent, "signal_timeout") == {"found": None}
