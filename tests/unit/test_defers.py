"""Deferred functions: what is stored of lazy ops, and the event that starts a function."""

from typing import Any

import orjson
import pytest

from inngest_py.domain.limits import MAX_DEFER_BYTES
from inngest_py.domain.steps import defers, opcodes
from inngest_py.domain.steps.defers import Defer, DeferStatus
from tests.factories import RUN_ID, op, step


def add(name: str, **opts: Any) -> dict[str, Any]:
    return op("DeferAdd", name, opts={"fn_slug": "app-later", "input": {"n": 1}} | opts)


def abort(name: str) -> dict[str, Any]:
    return op("DeferAbort", f"{name}:abort", opts={"target_hashed_id": step(name)})


def read(*ops: dict[str, Any]) -> list[Defer]:
    return defers.read(opcodes.parse(orjson.dumps(ops)))


def settled(*ops: dict[str, Any]) -> dict[str, str]:
    return {d.name: d.status.value for d in defers.changes({}, read(*ops)).values()}


def test_an_add_is_scheduled_and_other_ops_are_left_alone() -> None:
    [found] = read(op("StepRun", "s"), add("a", meta={"sessions": {"k": "v"}}))
    assert found == Defer(
        *(step("a"), DeferStatus.SCHEDULED, "a", "app-later"),
        *('{"n":1}', '{"sessions":{"k":"v"}}'),
    )


@pytest.mark.parametrize(
    ("opts", "said"),
    [
        ({"fn_slug": None}, "names no function"),
        ({"fn_slug": "a\0b"}, "names no function"),
        ({"input": [1]}, "not an object"),
        ({"input": {"x": "y" * MAX_DEFER_BYTES}}, "is over"),
    ],
)
def test_a_bad_add_is_rejected_with_its_reason(opts: dict[str, Any], said: str) -> None:
    [found] = read(add("a", **opts))
    assert found.status is DeferStatus.REJECTED
    assert said in str(found.reason)


def test_an_op_without_a_valid_id_is_ignored() -> None:
    assert read({"op": "DeferAdd"}, {"op": "DeferAbort", "opts": {"target_hashed_id": 7}}) == []


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ([add("a"), abort("a")], {"a": "aborted"}),
        ([abort("a"), add("a")], {"a:abort": "aborted"}),
        ([add("a"), add("a", fn_slug="other")], {"a": "scheduled"}),
        ([add("a", input=7), abort("a")], {"a": "rejected"}),
        ([add(str(n)) for n in range(25)], {str(n): "scheduled" for n in range(20)}),
    ],
)
def test_the_first_op_of_an_id_counts(ops: list[Any], expected: dict[str, str]) -> None:
    assert settled(*ops) == expected


def test_all_inputs_together_have_a_limit() -> None:
    half = {"x": "y" * (MAX_DEFER_BYTES // 2)}
    assert settled(add("a", input=half), add("b", input=half), add("c")) == {
        "a": "scheduled",
        "b": "rejected",
        "c": "scheduled",
    }


def test_unchanged_defers_are_not_written_again() -> None:
    first = defers.changes({}, read(add("a")))
    assert defers.changes(first, read(add("a"))) == {}
    assert defers.shown(first.values()) == f'{{"{step("a")}":{{"abortable":true}}}}'


def test_the_event_names_the_function_and_its_parent() -> None:
    [found] = read(add("a", meta={"sessions": {"k": "v"}}))
    made = defers.event(found, run_id=RUN_ID, function_slug="app-fn", id=RUN_ID, ts_ms=5)
    payload = orjson.loads(made.payload)
    assert (payload["name"], payload["meta"]) == (
        "inngest/deferred.schedule",
        {"sessions": {"k": "v"}},
    )
    routing = {"fn_slug": "app-later", "parent_fn_slug": "app-fn", "parent_run_id": RUN_ID}
    assert payload["data"] == {"n": 1, "_inngest": routing}
