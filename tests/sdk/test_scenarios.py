"""The official SDKs against a real server: results of runs, and how often step bodies ran."""

from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.processes import wait_until

from .conftest import Sent
from .connect_worker import CONNECTED


def _run(sent: Sent, scenario: str, status: str = "Completed") -> dict[str, Any]:
    run = sent.api.run(sent.event_ids[scenario])
    assert run["status"] == status, f"{run}\n{sent.app.log_tail()}"
    return run


def _bodies(sent: Sent, run: dict[str, Any]) -> Counter[str]:
    return Counter(line["step"] for line in sent.app.effects(run["run_id"]))


def _attempts(sent: Sent, run: dict[str, Any], step: str) -> list[int]:
    lines = sent.app.effects(run["run_id"])
    return [line["attempt"] for line in lines if line["step"] == step]


def _duration_seconds(run: dict[str, Any]) -> float:
    ended = datetime.fromisoformat(run["ended_at"])
    return (ended - datetime.fromisoformat(run["run_started_at"])).total_seconds()


def test_no_steps(sent: Sent) -> None:
    run = _run(sent, "noop")
    assert run["output"] == {"ok": True, "echo": {"n": 1}}
    assert _bodies(sent, run) == {"body": 1}


def test_run_shape(sent: Sent) -> None:
    run = _run(sent, "noop")
    assert run["event_id"] == sent.event_ids["noop"]
    assert datetime.fromisoformat(run["ended_at"]) <= datetime.now(UTC)


def test_sequential_steps(sent: Sent) -> None:
    run = _run(sent, "sequential")
    assert run["output"] == [1, 2, 3]
    assert [line["step"] for line in sent.app.effects(run["run_id"])] == ["a", "b", "c"]


def test_parallel_steps(sent: Sent) -> None:
    run = _run(sent, "parallel")
    assert run["output"] == 6
    assert _bodies(sent, run) == {"a": 1, "b": 1, "c": 1, "sum": 1}


def test_sleep(sent: Sent) -> None:
    run = _run(sent, "sleep")
    assert run["output"] == "rested"
    assert _bodies(sent, run) == {"before": 1, "after": 1}
    assert _duration_seconds(run) >= 0.9


def test_large_state_is_fetched(sent: Sent) -> None:
    run = _run(sent, "large")
    assert run["output"] == 4_500_000
    assert _bodies(sent, run) == {"a": 1, "b": 1, "c": 1}


def test_step_retry(sent: Sent) -> None:
    run = _run(sent, "retry")
    assert run["output"] == 3
    assert _attempts(sent, run, "flaky") == [0, 1, 2]
    assert _duration_seconds(run) >= 1.8


def test_function_retry(sent: Sent) -> None:
    run = _run(sent, "function_retry")
    assert run["output"] == 3
    assert _attempts(sent, run, "body") == [0, 1, 2]


def test_no_retry(sent: Sent) -> None:
    run = _run(sent, "no_retry", "Failed")
    assert run["output"]["message"] == "never"
    assert _attempts(sent, run, "hopeless") == [0]


def test_retry_after(sent: Sent) -> None:
    run = _run(sent, "retry_after")
    assert run["output"] == 2
    assert _attempts(sent, run, "later") == [0, 1]
    # the server's own interval is 1 s, but the app asked for 3 s
    assert _duration_seconds(run) >= 2.5


def test_failure_calls_its_handler(sent: Sent) -> None:
    run = _run(sent, "failure", "Failed")
    assert run["output"]["message"] == "boom"

    def handled() -> list[dict[str, Any]]:
        lines = sent.app.effects(run["run_id"])
        return [line for line in lines if line["step"] == "on_failure"]

    (line,) = wait_until(handled, 20, "on_failure ran")
    assert line["error"]["message"] == "boom"
    assert _attempts(sent, run, "boom") == [0]


def test_step_error_caught_by_the_function(sent: Sent) -> None:
    run = _run(sent, "caught")
    assert run["output"] == {"caught": "bad luck"}
    assert _bodies(sent, run) == {"bad": 1, "after": 1}


def test_send_event_starts_another_function(sent: Sent) -> None:
    run = _run(sent, "send")
    (event_id,) = run["output"]
    child = sent.api.run(event_id)
    assert (child["status"], child["output"]) == ("Completed", "grown up")
    (line,) = sent.app.effects(child["run_id"])
    assert line["parent"] == run["run_id"]


def test_a_connected_app_sends_checkpoints(sent: Sent) -> None:
    """Three steps are one call: by default, the TypeScript SDK reports each to the API."""
    if sent.app.kind != "ts-connect":
        pytest.skip("an app of version 4 of the TypeScript SDK that is connected")
    run = sent.api.run(sent.api.send(f"{sent.app.kind}/counted"))
    assert (run["status"], run["output"]) == ("Completed", 1), sent.app.log_tail()


def test_a_limit_of_a_connected_app(sent: Sent) -> None:
    if sent.app.kind not in CONNECTED:
        pytest.skip("test_limits.py has the other apps")
    events = [sent.api.send(f"{sent.app.kind}/limited") for _ in range(4)]
    runs = [sent.api.run(event) for event in events]
    lines = sorted((sent.app.effects(run["run_id"])[0] for run in runs), key=lambda one: one["at"])
    assert len(lines) == 4
    assert all(one["until"] <= other["at"] for one, other in pairwise(lines)), lines
