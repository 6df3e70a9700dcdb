"""Signals and log context of one job."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ... import observe
from ...domain.reply.plans import Plan
from ...domain.reply.task_answers import EXPIRED, LOST, TIMED_OUT
from ...domain.runs import outputs
from ...domain.runs.items import Item, ItemKind
from ...domain.runs.runs import RunStatus
from ...domain.steps import tasks
from ..runtime.context import Context, Hint
from ..runtime.ended_tasks import EndedTask
from ..runtime.jobs import Job
from .writes import Applied, Call

_OUTCOMES = {LOST: "lost", TIMED_OUT: "timed_out", EXPIRED: "expired"}


def ids(item: Item, job: Job | None) -> dict[str, str]:
    """Give the ids that a job's log lines have; `job` is None for items that belong to no run."""
    found = {"item_id": item.id, "kind": item.kind.value, "lease_id": item.lease_id}
    if job is not None:
        found |= {"run_id": job.run.id, "function": job.function.slug}
    return found


def is_task_heard() -> bool:
    """Say whether anybody listens to what task() sends."""
    return observe.is_heard(observe.job_started) or observe.is_heard(observe.job_ended)


@contextmanager
def task(job: Job) -> Iterator[None]:
    """Send the signals of the start and the end of a task's work on a run."""
    run, item = job.run, job.item
    observe.send(
        observe.job_started,
        run_id=run.id,
        function_id=run.function_id,
        function=run.function_slug,
        item_id=item.id,
        kind=item.kind.value,
        step=item.step_name,
        attempt=item.attempt,
        traceparent=run.traceparent,
    )
    try:
        yield
    finally:
        observe.send(observe.job_ended, run_id=run.id)


def call(job: Job, to: str, url: str, request_id: str, made: Plan, done: Call) -> None:
    """Send the signal of a request that is over.

    `to` is `app` or `gateway`; gateway calls have no request id.
    """
    observe.send(
        observe.call_finished,
        run_id=job.run.id,
        function_id=job.run.function_id,
        to=to,
        url=url,
        request_id=request_id,
        started_at=done.started_at,
        seconds=(done.ended_at - done.started_at).total_seconds(),
        status=done.http_status,
        steps=[entry.name for entry in made.timeline if entry.step is not None],
        attempt=job.item.attempt,
        traceparent=job.run.traceparent,
    )


def committed(ctx: Context, job: Job, made: Plan, done: Applied) -> None:
    """Send hints and signals; call after the commit."""
    if done.hints:
        _hint(ctx, job, done.hints)
    if done.later:
        ctx.connections.begin_later(done.later)
    done.started.send(ctx)
    run = job.run
    for result in done.stored:
        observe.send(
            observe.step_finished,
            run_id=run.id,
            function_id=run.function_id,
            step=result.hash,
            name=result.name,
            value=result.value,
            failed=result.failed,
        )
    if made.retry is not None:
        error = _error_name(made.timeline[-1].error) if made.timeline else None
        attempt = job.item.attempt + 1
        observe.event("attempt.failed", run_id=run.id, attempt=attempt, error=error)
        observe.send(
            observe.attempt_failed,
            run_id=run.id,
            function_id=run.function_id,
            step=job.item.step,
            attempt=job.item.attempt,
            error=made.timeline[-1].error if made.timeline else None,
        )
    if done.finished is not None:
        status, output = done.finished
        if status is RunStatus.FAILED:
            error = _error_name(output)
            observe.event("run.failed", level=logging.WARNING, run_id=run.id, error=error)
        else:
            observe.event("run.ended", level=logging.DEBUG, run_id=run.id, status=status.value)
        observe.send(
            observe.run_finished,
            run_id=run.id,
            function_id=run.function_id,
            status=status.value,
            output=output,
            queued_at=run.queued_at,
            function=run.function_slug,
            traceparent=run.traceparent,
        )


def task_ended(ctx: Context, job: Job, made: Plan, done: Call, name: str | None = None) -> None:
    """Note an attempt of a Celery task that is over, for listeners; call after the commit.

    `name` is the task's; None reads it from the item.
    """
    entry = next((one for one in made.timeline if one.op == tasks.OP), None)
    if entry is None or not observe.is_heard(observe.task_ended):
        return
    run, item = job.run, job.item
    if name is None and item.kind is ItemKind.TASK and item.opts is not None:
        name = tasks.call_from_json(item.opts).name
    error = _error_name(entry.error)
    ctx.celery_apps.ended.note(
        EndedTask(
            run_id=run.id,
            function_id=run.function_id,
            function=run.function_slug,
            app=job.function.app_name,
            task=name or entry.name,
            step=entry.name,
            task_id=tasks.task_id(item.id, item.attempt),
            attempt=item.attempt,
            outcome=_OUTCOMES.get(error or "", "failed" if error else "completed"),
            error=error,
            queued_at=item.queued_at,
            sent_at=done.started_at,
            ended_at=done.ended_at,
            traceparent=run.traceparent,
        )
    )


def _hint(ctx: Context, job: Job, hints: list[Hint]) -> None:
    """Send hints; a process that holds the app's connections runs the next requests itself."""
    app_id = job.function.app_id
    if ctx.connections.begin is not None and ctx.connections.takes(app_id):
        mine = [hint for hint in hints if hint[0] is ItemKind.EDGE]
        ctx.connections.begin(mine)
        hints = [hint for hint in hints if hint[0] is not ItemKind.EDGE]
    ctx.hints.send(hints)


def _error_name(stored: str | None) -> str | None:
    """Give an error's name for the log: its message is the app's and may hold secrets."""
    if stored is None:
        return None
    name: str = outputs.shown_error(stored)["error"]["name"]
    return name[:100]
