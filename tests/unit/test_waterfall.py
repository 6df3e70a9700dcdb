"""Waterfalls: the times at which steps were queued, waited and ran."""

from datetime import timedelta

from inngest_py.dashboard.run_page import nodes
from inngest_py.dashboard.run_page.view import View
from inngest_py.dashboard.run_page.waterfall import waterfall
from inngest_py.domain.reports import spans
from inngest_py.domain.reports.timeline import EndedAttempt, TimelineRun
from inngest_py.domain.runs.runs import RunStatus
from tests.factories import NOW, RUN_ID


def tried(number: int, op: str, status: str, *times: float, step: str | None = "a") -> EndedAttempt:
    queued, started, ended = [NOW + timedelta(seconds=one) for one in times]
    return EndedAttempt(number, step, "name", op, 0, status, queued, started, ended)


def parts(made: list[EndedAttempt], ended: float = 10) -> list[list[tuple[float, float, str]]]:
    end = NOW + timedelta(seconds=ended)
    run = TimelineRun(RUN_ID, RunStatus.COMPLETED, NOW, NOW, end, has_output=True)
    tree = nodes.of_run(spans.tree(run, made, []))
    fall = waterfall(tree, View(RUN_ID), end)
    every = [fall.whole, *fall.rows]
    return [[(round(a, 3), round(b, 3), css) for a, b, css in row.parts] for row in every]


def test_a_step_that_waited_for_a_worker_and_ran() -> None:
    [root, step] = parts([tried(1, "StepRun", "completed", 0, 4, 10)])
    assert root == [(0, 1, "whole")]
    assert step == [(0, 0.4, "queue"), (0.4, 1, "run")]


def test_between_two_attempts_a_step_waits() -> None:
    first = tried(1, "StepError", "errored", 0, 1, 2)
    again = tried(2, "StepRun", "completed", 6, 7, 10)
    step = parts([first, again])[1]
    assert [css for _, _, css in step] == ["queue", "failed", "wait", "queue", "run"]
    assert step[2] == (0.2, 0.6, "wait")


def test_a_sleep_waits() -> None:
    step = parts([tried(1, "Sleep", "completed", 0, 0, 5)])[1]
    assert step == [(0, 0.5, "wait")]
