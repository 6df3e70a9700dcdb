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


def unknown_failure(task_id: str, origin: str) -> Failure:
    """Describe a failure of which no event came; `origin` is the process that answered, or empty.

    Celery writes it as gen, the process's id, an @ and the name of its machine.
    """
    pid, _, machine = origin.removeprefix("gen").partition("@")
    where = f" on {machine[:255]} (process {pid[:20]})" if machine else ""
    return Failure(
        "TaskFailed",
        f"the task failed; its worker{where} sent no event of it, as when it sends none or has just"
        f" started, so the reason is only in its log: look for {task_id} there",
    )


def failure_of(error: JsonObject) -> Failure:
    """Read why a task has failed, as its worker's event told it."""
    stack = error.get("stack")
    text = None if stack is None else str(stack)
    return Failure(str(error.get("name")), str(error.get("message")), text)
