"""What timelines show of Celery tasks: where each attempt's task is or was, and since when.

Times of workers are by their own clocks, so they are put between our own times of the attempt.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ..steps.task_executions import Execution
from ..steps.task_states import SentTask
from .timeline import Span, SpanStatus, SpanTask


def of_attempt(
    task_id: str, executions: Sequence[Execution], *, sent: datetime, ended: datetime
) -> SpanTask:
    """Describe the task of an attempt that has ended."""
    found = [_between(one, sent, ended) for one in executions]
    return _told(SpanTask(task_id, sent, executions=found))


def of_sent(task_id: str, executions: Sequence[Execution], sent: SentTask) -> SpanTask:
    """Describe a task that its app has; a look at the workers may have seen what no event told."""
    found = [_between(one, sent.sent, None) for one in executions]
    told = SpanTask(task_id, sent.sent, sent.queue, executions=found)
    if found:
        return _told(told)
    return replace(told, host=sent.host, started_at=sent.started)


def _told(task: SpanTask) -> SpanTask:
    """Take the worker of the last execution, and when the first was received and begun."""
    if not task.executions:
        return task
    first, last = task.executions[0], task.executions[-1]
    return replace(
        task, host=last.host or None, received_at=first.received, started_at=first.started
    )


def _between(one: Execution, first: datetime, last: datetime | None) -> Execution:
    received = _bounded(one.received, first, last)
    started = None if one.started is None else _bounded(one.started, received, last)
    retried = one.retried and _bounded(one.retried, started or received, last)
    return replace(one, received=received, started=started, retried=retried)


def _bounded(moment: datetime, first: datetime, last: datetime | None) -> datetime:
    moment = max(moment, first)
    return moment if last is None else min(moment, last)


def executions(attempt: Span, span_id: str) -> list[Span]:
    """Make spans of Celery's own retries of an attempt; none if there were no retries.

    `span_id` begins the ids of these spans.
    """
    task = attempt.task
    if task is None or len(task.executions) < 2:
        return []
    return [_execution(attempt, one, f"{span_id}-{one.number}") for one in task.executions]


def _execution(attempt: Span, one: Execution, span_id: str) -> Span:
    assert attempt.task is not None
    was_retried = one is not attempt.task.executions[-1]
    made = Span(
        id=span_id,
        run_id=attempt.run_id,
        name=f"Celery attempt {one.number + 1}",
        status=SpanStatus.FAILED if was_retried else attempt.status,
        queued_at=one.received,
        started_at=one.started,
        ended_at=one.retried or one.started or one.received if was_retried else attempt.ended_at,
        step=attempt.step,
        op=attempt.op,
        type=attempt.type,
        attempts=attempt.attempts,
        output=None if was_retried else attempt.output,
        error=one.error,
        task=SpanTask(attempt.task.id, None, None, one.host or None, one.received, one.started),
    )
    if not was_retried and one.started is None and made.ended_at is None:
        made.status = SpanStatus.QUEUED
    return made
