"""Reruns from a step: which steps and inputs are accepted, and what is kept."""

from typing import Any

import pytest

from inngest_py.domain.errors import Invalid
from inngest_py.domain.reply import request
from inngest_py.domain.runs import rerun
from tests import factories
from tests.factories import step


@pytest.mark.parametrize(
    ("step_id", "given", "field"),
    [
        (None, None, "fromStep.stepId"),
        ("", None, "fromStep.stepId"),
        (5, None, "fromStep.stepId"),
        ("a\0b", None, "fromStep.stepId"),
        ("x" * 2000, None, "fromStep.stepId"),
        ("a", {}, "fromStep.input"),
        ("a", "[]", "fromStep.input"),
        ("a", 0, "fromStep.input"),
        ("a", ["x" * 5_000_000], "fromStep.input"),
    ],
)
def test_bad_steps(step_id: object, given: object, field: str) -> None:
    with pytest.raises(Invalid) as raised:
        rerun.from_step(step_id, given)
    assert raised.value.field == field


def test_input_that_is_too_deep() -> None:
    deep: list[Any] = []
    for _ in range(195):
        deep = [deep]
    with pytest.raises(Invalid, match="deeper"):
        rerun.from_step("a", deep)


def test_split() -> None:
    stack = [step("a"), step("b"), "odd"]
    assert rerun.split(stack, [], "b") == (step("b"), [step("a")])
    assert rerun.split(stack, [], step("a")) == (step("a"), [])
    assert rerun.split(stack, [], "odd") == ("odd", stack[:2])
    assert rerun.split(stack, [step("c")], "c") == (step("c"), stack)
    for unknown in ("d", step("d"), "\ud800"):
        with pytest.raises(Invalid, match="no step"):
            rerun.split(stack, [step("c")], unknown)


def test_input_is_sent_beside_the_stack_until_the_step_has_a_result() -> None:
    run = factories.run(input_step=step("b"), input='{"input":[1]}')
    options: Any = {"max_attempts": 3, "request_id": factories.RUN_ID}
    memo = {step("a"): '{"data":1}'}
    body = request.body(run, factories.item(), memo, **options)
    assert f'"{step("b")}":{{"input":[1]}}'.encode() in body
    assert f'"stack":{{"current":1,"stack":["{step("a")}"]}}'.encode() in body
    assert b'"fn_id"' not in body
    done = memo | {step("b"): '{"data":2}'}
    assert b'"input"' not in request.body(run, factories.item(), done, **options)
