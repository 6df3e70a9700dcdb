"""Metadata: which updates are accepted, and how they change what is stored."""

from typing import Any

import orjson
import pytest

from inngest_py.domain.errors import Invalid, TooLarge
from inngest_py.domain.runs import metadata
from inngest_py.domain.runs.metadata import Scope, Update, UpdateOp
from inngest_py.domain.steps import opcodes
from tests.factories import op, step

ONE = [{"kind": "k", "op": "merge", "values": {"a": 1}}]


@pytest.mark.parametrize(
    ("target", "scope", "key"),
    [
        (None, Scope.RUN, ""),
        ({"step_id": "a"}, Scope.STEP, step("a")),
        ({"step_id": step("a")}, Scope.STEP, step("a")),
        ({"step_id": "a", "step_index": 1}, Scope.STEP, step("a:1")),
        ({"step_id": "a", "step_attempt": 2}, Scope.ATTEMPT, step("a") + "#2"),
        ({"span_id": "s"}, Scope.SPAN, "span:s"),
    ],
)
def test_targets(target: Any, scope: Scope, key: str) -> None:
    found, updates = metadata.parse({"target": target, "metadata": ONE})
    assert (found.scope, found.key) == (scope, key)
    assert updates == [Update("k", UpdateOp.MERGE, {"a": 1})]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "metadata"),
        ({"metadata": ONE * 101}, "metadata"),
        ({"metadata": [5]}, "metadata[0]"),
        ({"metadata": [{"op": "set"}]}, "metadata[0].kind"),
        ({"metadata": [{"kind": "k", "op": "pop"}]}, "metadata[0].op"),
        ({"metadata": [{"kind": "k", "op": []}]}, "metadata[0].op"),
        ({"metadata": [{"kind": "k", "values": []}, {}]}, "metadata[1].kind"),
        ({"metadata": [{"kind": "k", "values": [1]}]}, "metadata[0].values"),
        ({"metadata": ONE, "target": []}, None),
        ({"metadata": ONE, "target": [1]}, "target"),
        ({"metadata": ONE, "target": {"step_attempt": 1}}, "target.step_id"),
        ({"metadata": ONE, "target": {"step_id": "a", "step_index": -1}}, "target.step_index"),
        ({"metadata": ONE, "target": {"step_id": "a\0"}}, "target.step_id"),
        ([], "the body"),
    ],
)
def test_refused(body: Any, field: str | None) -> None:
    if field is None and isinstance(body, dict):
        assert metadata.parse(body)  # an empty target is the run
        return
    with pytest.raises(Invalid) as raised:
        metadata.parse(body)
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("op", "values", "after"),
    [
        (UpdateOp.MERGE, {"b": 2}, {"a": 1, "b": 2}),
        (UpdateOp.SET, {"b": 2}, {"b": 2}),
        (UpdateOp.DELETE, {"a": None}, {}),
        (UpdateOp.DELETE, {}, {}),
        (UpdateOp.ADD, {"a": 2, "b": "x"}, {"a": 3, "b": "x"}),
    ],
)
def test_changes(op: UpdateOp, values: dict[str, Any], after: dict[str, Any]) -> None:
    assert metadata.change({"a": 1}, Update("k", op, values)) == after


def test_sizes() -> None:
    metadata.check_sizes({"a": 64 * 1024, "b": 1})
    for sizes in ({"a": 64 * 1024 + 1}, {str(n): 60_000 for n in range(18)}):
        with pytest.raises(TooLarge):
            metadata.check_sizes(sizes)


def test_metadata_comes_with_ops() -> None:
    notes = [
        {"kind": "userland.default", "scope": "step", "op": "set", "values": {"a": 1}},
        {"kind": "k", "scope": "step_attempt", "op": "merge", "values": {"b": 2}},
        {"kind": "k", "scope": "run", "values": {"c": 3}},
        {"kind": "k", "op": "nope"},
        {"op": "set"},
        {"kind": "k", "values": 7},
    ]
    body = [op("StepRun", "a", metadata=[*notes, 7]), op("StepRun", "b", metadata=notes[0])]
    found = metadata.of_ops(opcodes.parse(orjson.dumps(body)), 2)
    assert [(target.key, update.kind, update.values) for target, update in found] == [
        (step("a"), "userland.default", {"a": 1}),
        (step("a") + "#2", "k", {"b": 2}),
        ("", "k", {"c": 3}),
        (step("b"), "userland.default", {"a": 1}),
    ]
