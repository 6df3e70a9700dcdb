"""What an answer means for its run: the protocol's tables, case by case."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from inngest_py.domain.reply import decide as plans
from inngest_py.domain.reply.plans import Plan, Policy
from inngest_py.domain.reply.read import Reply
from inngest_py.domain.runs.items import ItemKind
from inngest_py.domain.runs.runs import RunStatus
from inngest_py.domain.steps import groups
from inngest_py.domain.steps.groups import GroupState
from tests.factories import NOW, item, op, reply, run, step

POLICY = Policy(retries=2)


def planned(answer: Reply, *, attempt: int = 0, **changes: Any) -> Plan:
    return plans.plan(run(**changes), item(attempt=attempt), POLICY, answer, NOW, 0.5)


def error_of(plan: Plan) -> Any:
    assert plan.finish is not None
    assert plan.finish.output is not None
    return orjson.loads(plan.finish.output)


def test_a_200_completes_the_run_with_its_body() -> None:
    made = planned(reply(200, {"b": 1, "a": 2}))
    assert made.finish is not None
    assert made.finish.status is RunStatus.COMPLETED
    assert made.finish.output == '{"a":2,"b":1}'


def test_an_empty_200_completes_without_a_result() -> None:
    made = planned(reply(200, b""))
    assert made.finish is not None
    assert made.finish.output is None


def test_a_step_result_is_wrapped_and_stored() -> None:
    made = planned(reply(206, [op("StepRun", "a", data={"x": 1})], x_inngest_req_version="2"))
    assert [(r.hash, r.value) for r in made.results] == [(step("a"), '{"data":{"x":1}}')]
    assert made.request_version == 2
    assert made.group is None
    assert made.finish is None


def test_a_legacy_step_is_stored_raw_and_no_data_is_null() -> None:
    assert planned(reply(206, [op("Step", "a", data=3)])).results[0].value == "3"
    assert planned(reply(206, [op("StepRun", "a")])).results[0].value == '{"data":null}'


def test_several_planned_ops_form_a_group_that_waits_for_all() -> None:
    ops = [op("StepPlanned", "a"), op("StepPlanned", "b"), op("Sleep", "s", name="1m")]
    made = planned(reply(206, ops))
    assert made.group == {step("a"): False, step("b"): False, step("s"): False}
    assert made.coalesce
    assert [(j.kind, j.delay) for j in made.follow_ups] == [
        (ItemKind.EDGE, timedelta(0)),
        (ItemKind.EDGE, timedelta(0)),
        (ItemKind.SLEEP, timedelta(minutes=1)),
    ]
    assert len({j.key for j in made.follow_ups}) == 3


@pytest.mark.parametrize("code", ["StepRun", "steprun", "STEPRUN"])
def test_opcodes_match_in_any_case(code: str) -> None:
    assert planned(reply(206, op(code, "a"))).results


def test_an_unknown_opcode_is_a_retriable_error() -> None:
    made = planned(reply(206, [{"op": "StepBogus", "id": "x"}]))
    assert made.retry is not None
    assert "StepBogus does not belong to Opcode values" in str(made.timeline[0].error)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[null]", b"[1]", b"{", b'[{"op":3}]', b'[{"op":"StepRun"}]']
)
def test_a_206_that_cannot_be_read_is_a_retriable_error(body: bytes) -> None:
    assert planned(reply(206, body)).retry is not None


def test_an_answer_without_ops_asks_again_later_and_sets_no_version() -> None:
    made = planned(reply(206, [], x_inngest_req_version="2"))
    assert [job.kind for job in made.follow_ups] == [ItemKind.EDGE]
    assert made.follow_ups[0].delay > timedelta(0)
    assert made.request_version == -1


def test_a_step_error_is_retried_with_the_table_and_stores_nothing() -> None:
    made = planned(reply(206, [op("StepError", "a", error={"name": "E", "message": "m"})]))
    assert made.retry == timedelta(seconds=15 + 15)
    assert not made.results


@pytest.mark.parametrize(
    ("answer", "attempt"),
    [
        (reply(206, [op("StepError", "a", error={"name": "E", "message": "m"})]), 2),
        (reply(206, [op("StepError", "a", error={"name": "E", "noRetry": True})]), 0),
        (reply(206, [op("StepError", "a", error={"name": "E"})], x_inngest_no_retry="true"), 0),
        (reply(206, [op("StepFailed", "a", error={"name": "E"})]), 0),
    ],
)
def test_a_final_step_error_is_stored_for_user_code(answer: Reply, attempt: int) -> None:
    made = planned(answer, attempt=attempt)
    assert made.retry is None
    assert "error" in orjson.loads(made.results[0].value)


def test_retry_after_replaces_the_table() -> None:
    headers = {"retry_after": "7"}
    made = planned(reply(206, [op("StepError", "a", error={"name": "E"})], **headers))
    assert made.retry == timedelta(seconds=7)
    assert planned(reply(500, {"name": "E"}, **headers)).retry == timedelta(seconds=7)


def test_a_function_error_is_retried_until_the_last_attempt() -> None:
    answer = reply(500, {"name": "Boom", "message": "no", "stack": "s"})
    assert planned(answer).retry is not None
    last = planned(answer, attempt=2)
    assert last.finish is not None
    assert last.finish.status is RunStatus.FAILED
    assert error_of(last) == {"message": "no", "name": "Boom", "stack": "s"}


def test_no_retry_ends_the_run_at_once() -> None:
    made = planned(reply(400, {"name": "E", "message": "m"}, x_inngest_no_retry="true"))
    assert made.finish is not None


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Reply(unreachable="connection refused"), "Unable to reach SDK URL"),
        (Reply(status=200, headers={"x-inngest-sdk": "x"}, too_large=True), "output_too_large"),
        (Reply(status=200, headers={}, body=b"<html>"), "not_sdk"),
        (Reply(status=201, headers={}, body=b"{}"), "not_sdk"),
        (Reply(status=404, headers={}, body=b"nope"), "HTTP 404"),
    ],
)
def test_an_answer_that_no_sdk_sent_is_retried(answer: Reply, text: str) -> None:
    made = planned(answer)
    assert made.retry is not None
    assert text in str(made.timeline[0].error)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(("levels", "stored"), [(150, True), (151, False), (190, False)])
def test_a_steps_result_may_be_nested_as_deep_as_a_runs(levels: int, stored: bool) -> None:
    made = planned(reply(206, [op("StepRun", "a", data=nested(levels))]))
    assert bool(made.results) is stored
    assert (made.retry is None) is stored
    expected = "what an op of step 'a' holds is nested deeper than 150 levels"
    assert stored or expected in str(made.timeline[0].error)
    completed = planned(reply(200, nested(levels)))
    assert (completed.finish is not None) is stored


@pytest.mark.parametrize("levels", [100, 160, 240])
def test_an_error_with_a_deep_cause_keeps_its_name_and_message(levels: int) -> None:
    error = {"cause": nested(levels), "message": "m", "name": "E"}
    failed = planned(reply(206, [op("StepFailed", "a", error=error)]))
    kept = orjson.loads(failed.results[0].value)["error"]
    assert (kept["name"], kept["message"]) == ("E", "m")
    output = error_of(planned(reply(500, error), attempt=2))
    assert (output["name"], output["message"]) == ("E", "m")
    assert (output == error) is (levels == 100)


@pytest.mark.parametrize("status", [200, 206])
def test_a_number_that_json_does_not_have_fails_the_attempt(status: int) -> None:
    body = b'{"a":NaN}' if status == 200 else b'[{"op":"StepRun","id":"a","data":NaN}]'
    made = planned(reply(status, body))
    assert made.retry is not None
    assert "it has no number NaN" in str(made.timeline[0].error)


SDK = {"x-inngest-sdk": "py:v1"}
MAX_SIZE = "Your function's response body exceeds the maximum size limit"
LARGE = {"error": f"output_too_large: {MAX_SIZE}", "message": MAX_SIZE, "name": "output_too_large"}
CODED = {"code": "c", "message": "m", "name": "E", "stack": None}


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        (reply(500, CODED), CODED),
        (reply(500, {"error": CODED}), {"error": CODED}),
        (reply(500, '{"message":"m","name":"E"}'), {"message": "m", "name": "E"}),
        (reply(500, "went wrong"), "went wrong"),
        (reply(500, b"went wrong"), "went wrong"),
        (reply(500, [1, 2]), [1, 2]),
        (Reply(status=200, headers=SDK, too_large=True), {"error": LARGE}),
        (Reply(status=200, headers={}, body=b'{"ok":true}'), {"ok": True}),
        (Reply(status=200, headers={}, body=b"<html>no</html>"), "<html>no</html>"),
    ],
)
def test_a_failed_run_has_the_output_that_was_sent(answer: Reply, output: Any) -> None:
    assert error_of(planned(answer, attempt=2)) == output


def test_a_206_that_no_sdk_sent_is_an_error() -> None:
    output = error_of(planned(Reply(status=206, headers={}, body=b"[]"), attempt=2))
    assert "error reading generator opcode response" in output["error"]["message"]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (reply(500, CODED), "invalid status code: 500"),
        (reply(500, CODED, x_inngest_no_retry="true"), "NonRetriableError"),
        (reply(400, CODED, x_inngest_no_retry="true"), "NonRetriableError"),
        (reply(500, CODED, x_inngest_no_retry="false"), "invalid status code: 500"),
    ],
)
def test_the_events_of_a_failure_say_what_the_answer_was(answer: Reply, text: str) -> None:
    finish = planned(answer, attempt=2).finish
    assert finish is not None
    assert finish.error_text == text


def test_a_stream_is_unwrapped_with_its_own_headers() -> None:
    inner = {
        "status": 206,
        "headers": {"x-inngest-req-version": "2"},
        "body": orjson.dumps([op("StepRun", "a", data=1)]).decode(),
    }
    made = planned(reply(201, b"   \n" + orjson.dumps(inner)))
    assert made.results[0].value == '{"data":1}'
    assert made.request_version == 2


@pytest.mark.parametrize(
    "body", [b"   ", b"{}", b'{"status":201,"body":""}', b'{"error":"x","status":200}']
)
def test_a_broken_stream_is_a_retriable_error(body: bytes) -> None:
    assert planned(reply(201, body)).retry is not None


def test_run_complete_stores_what_was_buffered_before_it() -> None:
    ops = [op("StepRun", "a", data=1), op("RunComplete", "complete", data={"ok": True})]
    made = planned(reply(206, ops))
    assert [r.value for r in made.results] == ['{"data":1}']
    assert made.finish is not None
    assert made.finish.output == '{"ok":true}'


def test_limits_fail_the_run_even_with_attempts_left() -> None:
    over = plans.overflow(run(step_count=1000))
    assert over is not None
    assert error_of(over)["error"]["name"] == "InngestErrFunctionOverflowed"
    assert plans.overflow(run(step_count=999)) is None
    many = planned(reply(206, [op("StepPlanned", str(i)) for i in range(1001)]))
    assert error_of(many)["error"]["name"] == "InngestErrFunctionOverflowed"
    state = planned(reply(206, [op("StepRun", "a", data=1)]), state_bytes=32 * 1024 * 1024)
    assert error_of(state)["error"]["name"] == "InngestErrStateOverflowed"
    sleep = planned(reply(206, [op("Sleep", "s", name="367d")]))
    assert error_of(sleep)["error"]["name"] == "InngestErrTimeoutTooLong"
    large = planned(reply(206, [op("StepRun", "a", data="x" * 4 * 1024 * 1024)]))
    assert error_of(large)["error"]["name"] == "InngestErrOutputTooLarge"


def test_a_sleep_until_a_past_date_is_over_at_once() -> None:
    made = planned(reply(206, [op("Sleep", "s", name="2020-01-01T00:00:00Z")]))
    assert made.follow_ups[0].delay == timedelta(0)


def test_a_sleep_that_cannot_be_read_is_a_function_error() -> None:
    assert planned(reply(206, [op("Sleep", "s", name="soon")])).retry is not None


def settle(pending: dict[str, bool], *done: tuple[str, bool], version: int = 2) -> GroupState:
    return groups.after_results(pending, done, force_plan=True, request_version=version)


def test_an_open_group_discovers_only_when_its_last_member_is_done() -> None:
    first = settle({"a": False, "b": False}, ("a", False))
    assert (first.discover, first.force_plan, first.pending) == (False, True, {"b": False})
    last = settle({"b": False}, ("b", False))
    assert (last.discover, last.force_plan, last.pending) == (True, False, {})


def test_a_racing_member_discovers_at_once_and_nothing_runs_twice() -> None:
    """The flag stays until no member of the race is pending."""
    first = settle({"a": True, "b": True}, ("a", True))
    assert (first.discover, first.force_plan, first.pending) == (True, True, {"b": True})
    last = settle({"b": True}, ("b", True))
    assert (last.discover, last.force_plan, last.pending) == (True, False, {})


def test_a_discovery_does_not_wait_for_racing_members() -> None:
    settled = settle({"b": True}, ("after", False))
    assert (settled.discover, settled.force_plan) == (True, True)
    assert not settle({"b": True, "c": False}, ("after", False)).discover


@pytest.mark.parametrize("pending", [{}, {"a": False, "b": False}, {"a": False, "b": True}])
def test_a_group_is_written_and_read(pending: dict[str, bool]) -> None:
    text = groups.written(pending)
    assert groups.read(text) == pending
    assert (text is None) == (not pending)
    assert text is None or isinstance(orjson.loads(text), dict if pending["b"] else list)


@pytest.mark.parametrize("mode", ["race", "Race", "RACE"])
def test_the_mode_of_a_race_may_have_any_case(mode: str) -> None:
    ops = [op("StepPlanned", name, opts={"parallelMode": mode}) for name in "ab"]
    assert planned(reply(206, ops)).group == {step("a"): True, step("b"): True}


def test_version_1_keeps_the_force_plan_flag() -> None:
    settled = settle({}, ("a", False), version=1)
    assert settled.discover
    assert settled.force_plan
