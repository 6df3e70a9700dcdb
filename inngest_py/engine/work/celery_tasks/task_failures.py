"""Attempts of Celery tasks that have failed, with what their failure calls."""

from functools import partial

from sqlalchemy import Connection

from ....domain.canvas.interpret import Call
from ....domain.reply import task_answers
from ....domain.reply.plans import Plan
from ....domain.reply.task_answers import EXPIRED, LOST, Failed, Failure
from ....domain.values import canonical
from ....domain.values.json_types import JsonObject
from ....storage.runs import attempts
from ...runtime.context import Context
from ...runtime.jobs import Job
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


def times_lost(tx: Connection, job: Job) -> int:
    """Count how often the task of a job was lost before; such attempts are no retries."""
    if not job.item.attempt:
        return 0
    found = attempts.errors(tx, job.run.id, job.item.step or "")
    return sum(canonical.loads(error).get("name") == LOST for error in found)


def failure_of(error: JsonObject | None) -> Failure:
    """Read why a task has failed, as its worker's event told it; None if none did."""
    if error is None:
        unknown = (
            "the task failed; its worker sent no event of it, as when it sends none or has just"
            " started, so the reason is only in its log"
        )
        return Failure("TaskFailed", unknown)
    stack = error.get("stack")
    text = None if stack is None else str(stack)
    return Failure(str(error.get("name")), str(error.get("message")), text)
