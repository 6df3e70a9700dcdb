"""Claimed items of Celery apps: those that only send a task are worked on together."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TypeGuard

from .... import observe
from ....domain.canvas.interpret import Call
from ....domain.runs.items import ItemKind
from ....storage.db.outages import logged
from ...runtime.app_fairness import place_of
from ...runtime.context import Context
from ...runtime.jobs import Job
from .. import signals
from ..claims import Claimed
from ..handlers.task import call_to_send, send
from ..run_item import run_job


def sends(job: Claimed) -> TypeGuard[Job]:
    """Say whether a claimed item may ask for nothing but that a task is sent."""
    if not isinstance(job, Job) or job.function.config.celery is None:
        return False
    return job.item.kind in (ItemKind.TASK, ItemKind.START)


def run_together(ctx: Context, jobs: Sequence[Job]) -> None:
    """Send the tasks of jobs in one batch for each app; run other jobs one after another.

    Any error is logged. If not even the put-off of a task can be written, its lease lapses.
    """
    due: list[tuple[Job, Call]] = []
    others = []
    for job in jobs:
        call = _call(ctx, job)
        if call is None:
            others.append(job)
        else:
            due.append((job, call))
    if due:
        _send(ctx, due)
    for job in others:
        run_job(ctx, job)


def _call(ctx: Context, job: Job) -> Call | None:
    try:
        return call_to_send(ctx, job)
    except Exception:  # run_job() will meet it again, and says which attempt has failed
        return None


def _send(ctx: Context, due: Sequence[tuple[Job, Call]]) -> None:
    try:
        with ExitStack() as tasks:
            for job, _ in due if signals.is_task_heard() else ():
                tasks.enter_context(signals.task(job))
            send(ctx, due)
    except Exception as error:
        observe.event("task.not_sent", level=40, tasks=len(due), **logged(error))
    finally:
        for job, _ in due:
            ctx.leases.drop(job.item)
            ctx.fairness.drop(place_of(job.function))
