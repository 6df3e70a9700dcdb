"""The log of a run, one line per moment, made from its timeline. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ...domain.reports.spans import FINALIZATION
from ...domain.reports.timeline import Span, SpanStatus, SpanTask, StepOp

MOST_LINES = 500
_MOST_CHARS = 300
_WAITS = {
    StepOp.SLEEP: "sleeps",
    StepOp.INVOKE: "invokes a function and waits for it",
    StepOp.WAIT_FOR_EVENT: "waits for an event",
    StepOp.WAIT_FOR_SIGNAL: "waits for a signal",
}
_BAD = {SpanStatus.FAILED, SpanStatus.CANCELLED}


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment: the run or step it is about, what happened, and whether that is bad."""

    at: datetime
    about: str
    text: str
    bad: bool = False


def history(root: Span) -> list[Moment]:
    """List what has happened, oldest first; equal times are in the timeline's order."""
    lines = [Moment(root.queued_at, "run", "queued")]
    if root.started_at is not None:
        lines.append(Moment(root.started_at, "run", "the first request goes out"))
    for step in root.children:
        lines += _of_step(step)
    if root.ended_at is not None:
        lines.append(_end(root, "run"))
    return sorted(lines, key=lambda line: line.at)


def _of_step(step: Span) -> Iterator[Moment]:
    about = "the function's answer" if step.name == FINALIZATION else step.name
    attempts = step.children or [step]
    if step.given_by is not None and step.ended_at is not None:
        yield Moment(step.ended_at, about, f"its result was given by hand by {step.given_by}")
        return
    for number, one in enumerate(attempts, 1):
        attempt = f"attempt {number} " if len(attempts) > 1 else ""
        if one.task is not None:
            yield from _of_task(one, one.task, about, attempt)
        elif one.started_at is not None:
            begun = _WAITS.get(one.op or step.op or StepOp.RUN)
            yield Moment(one.started_at, about, begun or f"{attempt}begins")
        elif one.ended_at is None and one.queued_at is not None:
            yield Moment(one.queued_at, about, f"{attempt}queued")
        if one.ended_at is not None:
            yield _end(one, about, attempt)


def _of_task(span: Span, task: SpanTask, about: str, attempt: str) -> Iterator[Moment]:
    """Follow a Celery task to its worker; each of Celery's own retries takes it there again."""
    if task.sent_at is not None:
        yield Moment(task.sent_at, about, f"{attempt}sent to the broker as {task.id}")
    for one in task.executions:
        by = f" by Celery, its retry {one.number}" if one.number else ""
        yield Moment(one.received, about, f"{attempt}received by {one.host}{by}")
        if one.started is not None:
            yield Moment(one.started, about, f"{attempt}begins on {one.host}")
        if one.retried is not None:
            error = one.error or {}
            text = f"{attempt}asks Celery for a retry: {error.get('name')}: {error.get('message')}"
            yield Moment(one.retried, about, text[:_MOST_CHARS], bad=True)
    if not task.executions and span.started_at is not None and task.started_at is not None:
        yield Moment(span.started_at, about, f"{attempt}begins on {task.host}")


def _end(span: Span, about: str, attempt: str = "") -> Moment:
    assert span.ended_at is not None
    text = f"{attempt}{span.status.value.lower()}"
    if span.http_status is not None:
        text += f", HTTP {span.http_status}"
    return Moment(span.ended_at, about, text, span.status in _BAD)
