"""What the page of a run leads with."""

from datetime import timedelta

import pytest

from inngest_py.dashboard.run_page.headline import Facts, Kind, failed_part, headline
from inngest_py.domain.reports import spans, why
from inngest_py.domain.reports.timeline import EndedAttempt, Pending, Span, SpanStatus, TimelineRun
from inngest_py.domain.runs.outputs import ErrorParts
from inngest_py.domain.runs.runs import RunStatus
from tests.factories import NOW, RUN_ID

ERROR: ErrorParts = {"name": "Empty", "message": "no stock", "stack": None}
_numbers = iter(range(1, 1000))


def tried(step: str | None, status: str, ended: float, attempt: int = 0) -> EndedAttempt:
    op = "Finalization" if step is None else {"errored": "StepError"}.get(status, "StepRun")
    times = [NOW + timedelta(seconds=one) for one in (ended - 1, ended - 1, ended)]
    return EndedAttempt(
        next(_numbers),
        step,
        step or "",
        op,
        attempt,
        status,
        *times,
        has_error=status != "completed",
    )


def tree(
    made: list[EndedAttempt],
    status: RunStatus = RunStatus.FAILED,
    queued: list[Pending] | None = None,
) -> Span:
    ended = NOW + timedelta(seconds=60) if status is not RunStatus.RUNNING else None
    run = TimelineRun(RUN_ID, status, NOW, NOW, ended, has_output=True)
    return spans.tree(run, made, queued or [])


def facts(root: Span, status: RunStatus = RunStatus.FAILED, code: str | None = None) -> Facts:
    return Facts(root, status, 3, ERROR, code, None, None, None)


def test_a_run_fails_at_its_step_when_its_function_fails_right_after() -> None:
    made = [
        tried("load", "completed", 1),
        *[tried("reserve", "errored", 2 + n, n) for n in range(2)],
        tried("reserve", "failed", 4, 2),
        tried(None, "failed", 5),
    ]
    found = headline(facts(tree(made)), [])
    assert found is not None
    assert (found.kind, found.where, found.attempt, found.attempts) == (
        Kind.FAILED,
        "reserve",
        3,
        3,
    )
    assert found.message == "Empty: no stock"
    assert not found.gave_up


def test_an_error_that_is_not_retried_is_told() -> None:
    found = headline(facts(tree([tried("reserve", "failed", 4), tried(None, "failed", 5)])), [])
    assert found is not None
    assert (found.attempt, found.attempts, found.gave_up) == (1, 3, True)


@pytest.mark.parametrize(("code", "where"), [(None, None), ("step_errored", "a")])
def test_a_function_that_goes_on_after_a_failed_step_fails_by_itself(
    code: str | None, where: str | None
) -> None:
    made = [tried("a", "failed", 1), tried("b", "completed", 2), tried(None, "failed", 3)]
    part = failed_part(tree(made), code)
    assert part is not None
    assert part.step == where


def test_a_run_that_nobody_could_call_has_no_part() -> None:
    found = headline(facts(tree([])), [])
    assert found is not None
    assert (found.span, found.attempt) == (None, None)


def test_a_retry_names_its_step_and_its_time() -> None:
    due = NOW + timedelta(seconds=40)
    queued = Pending("reserve", "reserve", "", 1, SpanStatus.QUEUED, NOW, due)
    reason = why.retry("step 'reserve'", 1, 4, "no stock", NOW, due)
    status = RunStatus.RUNNING
    root = tree([tried("reserve", "errored", 1)], status, [queued])
    found = headline(facts(root, status), [reason])
    assert found is not None
    assert found.span is root.children[0]
    assert (found.where, found.attempt, found.attempts, found.at) == ("reserve", 2, 4, due)
    assert headline(facts(root, status), []) is None
