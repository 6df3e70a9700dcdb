"""Attempts of Celery tasks that have failed, with what their failure calls."""

from functools import partial

from ...domain.canvas.interpret import Call
from ...domain.reply import task_answers
from ...domain.reply.plans import Plan
from ...domain.reply.task_answers import EXPIRED, Failed, Failure
from ..runtime.context import Context
from ..runtime.jobs import Job
from . import canvases


def failed(ctx: Context, job: Job, call: Call, failure: Failure) -> Failed:
    """Describe a failed attempt, for its plan."""
    moves = partial(canvases.errbacks, ctx, job, call.path)
    return Failed(job.run, job.item, call, failure, moves, ctx.now())


def expired(ctx: Context, job: Job, call: Call) -> Plan:
    """Fail the run of a task that no worker has begun by its deadline."""
    until = call.options.get("expires")
    failure = Failure(EXPIRED, f"no worker had begun this task by its deadline, {until}")
    return task_answers.expired(failed(ctx, job, call, failure))
