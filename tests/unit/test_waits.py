"""Waits: what ops ask for, how events find them, and what they leave in the memo."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from inngest_py.domain.events.lookups import key_in, lookup
from inngest_py.domain.reply import decide as plans
from inngest_py.domain.reply.plans import FollowUp, Plan, Policy
from inngest_py.domain.reply.wait_end import plan_wait_end
from inngest_py.domain.runs.items import ItemKind
from inngest_py.domain.runs.runs import RunStatus
from inngest_py.domain.steps.wait_results import EndedBy, StoredWait, wait_result
from inngest_py.domain.steps.waits import INVOKE_TIMEOUT, Wait, WaitKind
from tests.factories import NOW, RUN_ID, item, op, reply, run, step

EVENT = orjson.dumps(
    {"data": {"id": "o1", "n": 5}, "id": "e", "name": "a/b", "ts": 1, "user": {}}
).decode()


def planned(*ops: dict[str, Any], attempt: int = 0) -> Plan:
    answer = reply(206, list(ops), x_inngest_req_version="2")
    return plans.plan(run(event=EVENT), item(attempt=attempt), Policy(2), answer, NOW, 0.5)


def wait_of(code: str, **more: Any) -> Wait:
    (job,) = planned(op(code, "w", **more)).follow_ups
    assert job.kind is ItemKind.WAIT
    assert job.wait is not None
    return job.wait


def for_event(**opts: Any) -> Wait:
    return wait_of("WaitForEvent", name="x/y", opts=opts)


@pytest.mark.parametrize(
    ("timeout", "length"),
    [
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("2026-01-02T03:04:06.500Z", timedelta(seconds=1, milliseconds=500)),
        ("2020-01-01T00:00:00Z", timedelta(0)),
        ("-5m", timedelta(0)),
        ("", timedelta(0)),
        (None, timedelta(0)),
        ("366d", timedelta(days=366)),
    ],
)
def test_a_timeout_is_a_duration_or_a_time(timeout: str | None, length: timedelta) -> None:
    assert for_event(timeout=timeout).timeout == length


@pytest.mark.parametrize("code", ["WaitForEvent", "InvokeFunction", "WaitForSignal"])
def test_a_wait_over_366_days_fails_the_run(code: str) -> None:
    opts = {"timeout": "367d", "function_id": "app-x", "signal": "s"}
    made = planned(op(code, "w", name="x/y", opts=opts))
    assert made.finish is not None
    assert "InngestErrTimeoutTooLong" in str(made.finish.output)


def test_the_event_of_the_options_is_preferred_to_the_name() -> None:
    assert for_event(timeout="1h").event_name == "x/y"
    assert for_event(timeout="1h", event="x/z").event_name == "x/z"


@pytest.mark.parametrize(
    ("condition", "residual", "place"),
    [
        ("async.data.id == event.data.id", 'async.data.id == "o1"', ('["data","id"]', "o1")),
        ("event.data.n == async.data.n", "5.0 == async.data.n", ('["data","n"]', "5")),
        ("event.data.none == async.data.x", "async.data.x == null", ("", "")),
        ("event.data.id == 'o1'", None, ("", "")),
        (
            "async.data.n == 1 && async.data.id == event.data.id",
            'async.data.n == 1 && async.data.id == "o1"',
            ('["data","id"]', "o1"),
        ),
        ("async.data.id == event.data.id || true", None, ("", "")),
    ],
)
def test_a_condition_keeps_the_part_about_the_awaited_event(
    condition: str, residual: str | None, place: tuple[str, str]
) -> None:
    wait = for_event(timeout="1h", **{"if": condition})
    if residual is not None:
        assert sorted(str(wait.expression).split(" == ")) == sorted(residual.split(" == "))
    else:
        assert wait.expression is None
    assert (wait.path, wait.key) == place


def test_a_condition_that_is_false_already_is_found_by_no_event() -> None:
    wait = for_event(timeout="1h", **{"if": "event.data.id == 'other' && async.data.x == 1"})
    assert wait.event_name is None
    assert wait.info["eventName"] == "x/y"


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("async.data.x ==", "w: opts.if: "),
        ("foo.bar == 1", "foo"),
        ("nope(async.data)", "nope"),
        ("async.data.x == '" + "x" * 20_000 + "'", "longer than 16 KiB (16384 characters)"),
    ],
)
def test_a_condition_that_does_not_compile_fails_the_run_at_once(condition: str, why: str) -> None:
    made = planned(op("WaitForEvent", "w", name="x/y", opts={"timeout": "1h", "if": condition}))
    assert made.retry is None
    assert not made.follow_ups
    assert made.finish is not None
    assert made.finish.status is RunStatus.FAILED
    [(key, error)] = orjson.loads(str(made.finish.output)).items()
    assert key == "error"
    assert set(error) == {"error", "message", "name", "stack"}
    assert error["error"] == "InvalidExpression: Wait for event If expression failed to compile"
    assert error["name"] == "InvalidExpression"
    assert error["message"] == "Wait for event If expression failed to compile"
    assert why in error["stack"]
    assert error["stack"].startswith("w: opts.if: ")


@pytest.mark.parametrize(
    ("code", "name", "opts"),
    [
        ("WaitForEvent", "x", {"timeout": "soon"}),
        ("WaitForEvent", "x", {"timeout": 5}),
        ("WaitForEvent", "", {"timeout": "1h"}),
        ("WaitForEvent", "x", {"event": "n" * 3000}),
        ("InvokeFunction", "x", {}),
        ("InvokeFunction", "x", {"function_id": "app-x", "payload": []}),
        ("InvokeFunction", "x", {"function_id": "app-x", "payload": {"data": 1}}),
        ("InvokeFunction", "x", {"function_id": "app-x", "payload": {"id": 1}}),
        ("WaitForSignal", "", {"timeout": "1h"}),
        ("WaitForSignal", "", {"signal": "a\0b"}),
    ],
)
def test_a_wait_that_cannot_be_read_is_a_function_error(
    code: str, name: str, opts: dict[str, Any]
) -> None:
    made = planned(op(code, "w", name=name, opts=opts))
    assert made.retry is not None
    assert not made.follow_ups


def test_an_invocation_waits_for_its_own_answer_for_a_year() -> None:
    wait = wait_of(
        "InvokeFunction",
        opts={"function_id": "app-x", "payload": {"data": {"a": 1, "_inngest": 2}, "v": "1"}},
    )
    assert wait.timeout == INVOKE_TIMEOUT
    assert wait.event_name == "inngest/function.finished"
    assert (wait.path, wait.key) == ('["data","correlation_id"]', f"{RUN_ID}.{step('w')}")
    assert wait.invocation is not None
    assert (wait.invocation.data, wait.invocation.v) == ({"a": 1}, "1")


def test_a_signal_waits_for_its_name() -> None:
    wait = wait_of("WaitForSignal", name="w", opts={"signal": "s", "conflict": "replace"})
    assert (wait.signal, wait.replaces, wait.event_name) == ("s", True, None)


def test_waits_come_before_what_may_end_them_and_count_as_planned() -> None:
    made = planned(
        op("StepRun", "send", data=1),
        op("InvokeFunction", "i", opts={"function_id": "x"}),
        op("WaitForEvent", "w", name="x/y", opts={"timeout": "1h"}),
    )
    assert [job.step for job in made.follow_ups] == [step("w"), step("i")]
    assert list(made.group or ()) == [step("send"), step("i"), step("w")]
    assert made.coalesce


@pytest.mark.parametrize(
    ("expression", "event", "same"),
    [
        ('async.data.id == "a"', {"data": {"id": "a"}}, True),
        ('async.data.id == "a"', {"data": {"id": "b"}}, False),
        ('async.data.id == "5"', {"data": {"id": 5}}, True),  # the whole expression differs
        ("async.data.n == 5", {"data": {"n": 5.0}}, True),
        ("async.data.n == -0.0", {"data": {"n": 0}}, True),
        ("async.data.n == 1e21", {"data": {"n": 10**21}}, True),
        ("async.data.b == true", {"data": {"b": True}}, True),
        ("async.ts == 7", {"ts": 7}, True),
        ('async.data["a.b"] == "x"', {"data": {"a.b": "x"}}, True),
        (f'async.data.id == "{"x" * 4000}"', {"data": {"id": "x" * 4000}}, True),
        ('async.data.id == "a\\u0000"', {"data": {"id": "a\0"}}, True),
    ],
)
def test_an_event_has_the_key_of_a_value_that_it_equals(
    expression: str, event: dict[str, Any], same: bool
) -> None:
    path, key = lookup(expression)
    assert path
    assert "\0" not in key
    assert len(key.encode()) <= 128
    assert (key_in(event, path) == key) is same


@pytest.mark.parametrize(
    "event", [{}, {"data": None}, {"data": {"id": None}}, {"data": {"id": [1]}}]
)
def test_an_event_without_the_value_has_no_key(event: dict[str, Any]) -> None:
    assert key_in(event, '["data","id"]') is None
    assert key_in(event, "") == ""


@pytest.mark.parametrize(
    "expression", ["async.data.x > 1", "async.data.x == null", "async.data.a == 1 || true == true"]
)
def test_an_expression_without_equality_has_no_key(expression: str) -> None:
    assert lookup(expression) == ("", "")


def memo(kind: WaitKind, answer: EndedBy | None) -> Any:
    end = wait_result(StoredWait(kind, {"signal": "s"}, races=False), answer)
    return orjson.loads(end.value)


def finished(**data: Any) -> EndedBy:
    return EndedBy("01E", orjson.dumps({"data": data | {"run_id": "01R"}}).decode())


TIMED_OUT = "Timed out waiting for invoked function to complete"


@pytest.mark.parametrize(
    ("kind", "answer", "value"),
    [
        (WaitKind.EVENT, EndedBy("01E", '{"name":"x"}'), {"name": "x"}),
        (WaitKind.EVENT, None, None),
        (WaitKind.SIGNAL, EndedBy(data=[1]), {"data": {"signal": "s", "data": [1]}}),
        (WaitKind.SIGNAL, None, None),
        (WaitKind.INVOKE, finished(result={"a": 1}), {"data": {"a": 1}}),
        (WaitKind.INVOKE, finished(result=None), {"data": None}),
        (WaitKind.INVOKE, finished(x=1), {"data": {"run_id": "01R", "x": 1}}),
        (WaitKind.INVOKE, finished(error={"name": "E"}, result=1), {"error": {"name": "E"}}),
        (
            WaitKind.INVOKE,
            None,
            {
                "error": {
                    "error": f"InngestInvokeTimeoutError: {TIMED_OUT}",
                    "name": "InngestInvokeTimeoutError",
                    "message": TIMED_OUT,
                }
            },
        ),
    ],
)
def test_the_memo_of_an_ended_wait(kind: WaitKind, answer: EndedBy | None, value: Any) -> None:
    assert memo(kind, answer) == value


def test_the_end_of_a_wait_is_in_the_timeline_and_races_as_its_op() -> None:
    opts = StoredWait(WaitKind.EVENT, {"eventName": "x/y"}, races=True).written()
    woke = plan_wait_end(
        run(), item(kind=ItemKind.WAIT, step="w", opts=opts), EndedBy("01E", "{}"), is_open=False
    )
    assert woke.results[0].races
    assert not woke.closes
    shown = orjson.loads(str(woke.timeline[0].info))
    assert (shown["foundEventID"], shown["timedOut"]) == ("01E", False)
    late = plan_wait_end(run(), item(kind=ItemKind.WAIT, step="w", opts=opts), None, is_open=True)
    assert late.closes
    assert orjson.loads(str(late.timeline[0].info))["timedOut"] is True


def test_the_item_of_a_wait_is_due_at_its_time_out() -> None:
    (job,) = planned(op("WaitForEvent", "w", name="x", opts={"timeout": "1h"})).follow_ups
    assert isinstance(job, FollowUp)
    assert (job.delay, job.step) == (timedelta(hours=1), step("w"))
