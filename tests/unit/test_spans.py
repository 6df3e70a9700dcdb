"""Timelines of runs: the rules of api.md §5.5, row by row."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.reports.spans import is_over, tree
from inngest_py.domain.reports.timeline import (
    EndedAttempt,
    Output,
    Pending,
    Span,
    SpanStatus,
    StepOp,
    TimelineRun,
)
from inngest_py.domain.runs.runs import ENDED, RunStatus
from tests.factories import NOW, RUN_ID

RUN = TimelineRun(RUN_ID, RunStatus.COMPLETED, NOW, NOW, NOW + timedelta(seconds=9), True)


def at(seconds: float) -> Any:
    return NOW + timedelta(seconds=seconds)


def tried(id: int, step: str | None = "a", **changes: Any) -> EndedAttempt:
    made = EndedAttempt(
        id, step, step or "Finalization", "StepRun", 0, "completed", at(id), at(id), at(id + 0.5)
    )
    return replace(made, **changes)


def final(id: int, **changes: Any) -> EndedAttempt:
    return tried(id, None, **{"op": "Finalization", **changes})


def queued(step: str | None = "a", **changes: Any) -> Pending:
    made = Pending(step, step or "", "", 0, SpanStatus.QUEUED, at(5), at(5))
    return replace(made, **changes)


def shape(span: Span) -> list[Any]:
    """Write a span's children as [name, status, children]."""
    return [
        [child.name, child.status.value, shape(child)]
        if child.children
        else [child.name, child.status.value]
        for child in span.children
    ]


def test_task_that_failed_for_good_has_the_error_of_its_attempt() -> None:
    """Its step has no result, unlike a step of an SDK that failed."""
    failed = {"status": "failed", "has_error": True}
    root = tree(RUN, [tried(1, **failed), tried(2, "b", op="CeleryTask", **failed)], [])
    assert [child.output for child in root.children] == [
        Output(RUN_ID, "a"),
        Output(RUN_ID, "b", 2),
    ]
    assert root.children[1].children[0].output == Output(RUN_ID, "b", 2)


def test_the_root() -> None:
    root = tree(RUN, [tried(1), final(2)], [])
    assert (root.name, root.is_root, root.status) == ("Run", True, SpanStatus.COMPLETED)
    assert (root.started_at, root.ended_at, root.duration) == (NOW, at(9), timedelta(seconds=9))
    assert root.output == Output(RUN_ID)
    assert shape(root) == [["a", "COMPLETED"], ["Finalization", "COMPLETED"]]
    running = replace(RUN, status=RunStatus.RUNNING, ended_at=None, has_output=False)
    root = tree(running, [], [])
    assert (root.status, root.duration, root.output, root.children) == (
        SpanStatus.RUNNING,
        None,
        None,
        [],
    )


def test_one_completed_attempt_is_hidden() -> None:
    step, end = tree(RUN, [tried(1), final(2, http_status=200)], []).children
    assert (step.op, step.type, step.step, step.attempts) == (StepOp.RUN, "RUN", "a", 0)
    assert (step.output, step.duration) == (Output(RUN_ID, "a"), timedelta(seconds=0.5))
    assert (end.op, end.type, end.output) == (None, "FINALIZATION", Output(RUN_ID))
    assert end.http_status == 200


def test_several_attempts_are_shown_and_the_latest_gives_the_status() -> None:
    rows = [
        tried(1, status="errored", has_error=True, http_status=500),
        tried(2, attempt=1, status="errored", has_error=True),
        tried(3, attempt=2),
        final(4),
    ]
    root = tree(RUN, rows, [])
    failed = [["Attempt 0", "FAILED"], ["Attempt 1", "FAILED"]]
    assert shape(root) == [
        ["a", "COMPLETED", [*failed, ["Attempt 2", "COMPLETED"]]],
        ["Finalization", "COMPLETED"],
    ]
    step = root.children[0]
    assert (step.attempts, root.attempts) == (2, 2)
    assert (step.queued_at, step.started_at, step.ended_at) == (at(1), at(1), at(3.5))
    assert [one.output for one in step.children] == [
        Output(RUN_ID, "a", 1),
        Output(RUN_ID, "a", 2),
        Output(RUN_ID, "a"),
    ]
    assert step.output == Output(RUN_ID, "a")


def test_one_failed_attempt_is_shown() -> None:
    failed = replace(RUN, status=RunStatus.FAILED)
    rows = [
        tried(1, status="failed", has_error=True),
        final(2, status="failed", op="Execution", has_error=True),
    ]
    root = tree(failed, rows, [])
    assert shape(root) == [
        ["a", "FAILED", [["Attempt 0", "FAILED"]]],
        ["Finalization", "FAILED", [["Attempt 0", "FAILED"]]],
    ]
    assert root.children[0].output == Output(RUN_ID, "a")
    assert root.children[1].output == Output(RUN_ID, None, 2)


def test_attempts_of_the_function_itself() -> None:
    rows = [
        final(1, op="Execution", status="errored", has_error=True),
        final(2, op="Execution", status="errored", has_error=True, attempt=1),
        final(3, attempt=2),
    ]
    numbers = [["Attempt 0", "FAILED"], ["Attempt 1", "FAILED"]]
    assert shape(tree(RUN, rows, [])) == [
        ["Finalization", "COMPLETED", [*numbers, ["Attempt 2", "COMPLETED"]]]
    ]
    running = replace(RUN, status=RunStatus.RUNNING, ended_at=None)
    root = tree(running, rows[:2], [queued(None, attempt=2)])
    assert shape(root) == [["Execution", "QUEUED", [*numbers, ["Attempt 2", "QUEUED"]]]]
    assert not is_over(root.children[0])


def test_a_request_that_found_a_step_is_not_the_final_one() -> None:
    rows = [
        final(1, op="Execution", status="errored", has_error=True),
        tried(2, attempt=1),
        final(3),
    ]
    assert shape(tree(RUN, rows, [])) == [
        ["Discovery step", "COMPLETED", [["Attempt 0", "FAILED"]]],
        ["a", "COMPLETED"],
        ["Finalization", "COMPLETED"],
    ]


def test_steps_are_in_the_order_in_which_they_were_queued() -> None:
    rows = [
        tried(3, "late", queued_at=at(3)),
        tried(4, "slow", queued_at=at(1)),
        tried(5, "first", queued_at=at(0)),
        final(6, queued_at=at(0)),
    ]
    names = [child.name for child in tree(RUN, rows, []).children]
    assert names == ["first", "slow", "late", "Finalization"]


def test_spans_that_are_not_over() -> None:
    running = replace(RUN, status=RunStatus.RUNNING, ended_at=None, has_output=False)
    rows = [tried(1, "b", status="errored", has_error=True)]
    root = tree(
        running,
        rows,
        [
            queued("a", status=SpanStatus.RUNNING),
            queued("b", attempt=1, due_at=at(20)),
            queued("c"),
            queued("d", op="Sleep", status=SpanStatus.WAITING, due_at=at(60), info={"x": 1}),
            queued(None),
        ],
    )
    assert shape(root) == [
        ["b", "QUEUED", [["Attempt 0", "FAILED"], ["Attempt 1", "QUEUED"]]],
        ["a", "RUNNING", [["Attempt 0", "RUNNING"]]],
        ["c", "QUEUED", [["Attempt 0", "QUEUED"]]],
        ["d", "WAITING"],
    ]
    sleeping = root.children[3]
    assert (sleeping.op, sleeping.type, sleeping.info) == (StepOp.SLEEP, "SLEEP", {"x": 1})
    assert all(child.ended_at is None for child in root.children)
    assert all(child.duration is None for child in root.children)


def test_a_step_that_failed_in_a_discovery_is_retried_with_it() -> None:
    running = replace(RUN, status=RunStatus.RUNNING, ended_at=None)
    rows = [tried(1), tried(2, "b", status="errored", has_error=True)]
    root = tree(running, rows, [queued(None, attempt=1, status=SpanStatus.RUNNING)])
    assert shape(root) == [
        ["a", "COMPLETED"],
        ["b", "RUNNING", [["Attempt 0", "FAILED"], ["Attempt 1", "RUNNING"]]],
    ]


def test_waits() -> None:
    begun = tried(1, "w", op="WaitForEvent", status="waiting", info={"timedOut": None})
    running = replace(RUN, status=RunStatus.RUNNING, ended_at=None)
    [waiting] = tree(running, [begun], []).children
    assert (waiting.status, waiting.op) == (SpanStatus.WAITING, StepOp.WAIT_FOR_EVENT)
    assert (waiting.ended_at, waiting.info) == (None, {"timedOut": None})
    ended = tried(9, "w", op="WaitForEvent", info={"timedOut": True})
    [over] = tree(running, [begun, ended], []).children
    assert (over.status, over.info, over.children) == (SpanStatus.COMPLETED, {"timedOut": True}, [])
    assert (over.queued_at, over.output) == (at(1), Output(RUN_ID, "w"))
    cancelled = replace(RUN, status=RunStatus.CANCELLED)
    [closed] = tree(cancelled, [begun], []).children
    assert (closed.status, closed.ended_at) == (SpanStatus.CANCELLED, RUN.ended_at)


def test_types_and_names() -> None:
    for op, kind, shown in (
        ("step.sendEvent", StepOp.RUN, "step.sendEvent"),
        ("Step", StepOp.RUN, "RUN"),
        ("Gateway", StepOp.RUN, "RUN"),
        ("AIGateway", StepOp.AI_GATEWAY, "AI_GATEWAY"),
        ("step.ai.infer", StepOp.AI_GATEWAY, "step.ai.infer"),
        ("InvokeFunction", StepOp.INVOKE, "INVOKE"),
        ("Sleep", StepOp.SLEEP, "SLEEP"),
    ):
        [span] = tree(RUN, [tried(1, op=op)], []).children
        assert (span.op, span.type) == (kind, shown)
    [span] = tree(RUN, [tried(1, op="Sleep")], []).children
    assert span.output is None
    [span] = tree(RUN, [tried(1, name="")], []).children
    assert span.name == "Unknown step"
    # the step's name and type are not known from a request that the SDK failed to answer
    rows = [
        tried(1, name="hash", op="Execution", status="errored", has_error=True),
        tried(2, name="nice", op="step.x", attempt=1),
    ]
    [span] = tree(RUN, rows, []).children
    assert (span.name, span.type) == ("nice", "step.x")


_STEPS = st.sampled_from(["a", "b", None])
_ROWS = st.builds(
    tried,
    st.integers(0, 20),
    _STEPS,
    op=st.sampled_from(["StepRun", "Sleep", "Execution", "WaitForEvent", "step.x", ""]),
    attempt=st.integers(0, 3),
    status=st.sampled_from(["completed", "errored", "failed", "waiting"]),
    has_error=st.booleans(),
    name=st.sampled_from(["", "x"]),
)
_PENDING = st.builds(
    queued,
    _STEPS,
    attempt=st.integers(0, 3),
    op=st.sampled_from(["", "Sleep"]),
    status=st.sampled_from([SpanStatus.QUEUED, SpanStatus.RUNNING, SpanStatus.WAITING]),
)


@given(st.sampled_from(RunStatus), st.lists(_ROWS, max_size=8), st.lists(_PENDING, max_size=4))
def test_any_rows_make_a_tree(
    status: RunStatus, rows: list[EndedAttempt], pending: list[Pending]
) -> None:
    ended = status in ENDED
    rows = [replace(row, id=place) for place, row in enumerate(rows)]
    run = replace(RUN, status=status, ended_at=RUN.ended_at if ended else None)
    root = tree(run, rows, pending)
    spans = [root]
    for span in spans:
        spans += span.children
        assert span.name
        assert all(child.parent is span for child in span.children)
        assert (span.ended_at is None) == (span.duration is None)
    assert len({span.id for span in spans}) == len(spans)
    steps = {item.step for item in (*rows, *pending)} - {None}
    assert {child.step for child in root.children} - {None} == steps
    assert [child.name for child in root.children].count("Finalization") <= ended
