"""Attempts of Celery tasks that have failed, with what their failure calls."""

from dataclasses import replace
from functools import partial

from sqlalchemy import Connection

from .... import observe
from ....domain.canvas.interpret import Call
from ....domain.reply import task_answers
from ....domain.reply.plans import Plan
from ....domain.reply.task_answers import EXPIRED, LOST, Failed, Failure
from ....domain.reply.task_losses import loss_of
from ....domain.steps import tasks
from ....domain.values import canonical
from ....domain.values.json_types import JsonObject
from ....storage.runs import attempts
from ...runtime.context import Context
from ...runtime.jobs import Job
from ..handlers.task_rules import rules_of
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


def failed_or_lost(ctx: Context, job: Job, call: Call, failure: Failure, before: int) -> Plan:
    """Send a failed or lost task again, or end it; `before` says how often it was lost before."""
    found, rules = failed(ctx, job, call, failure), rules_of(ctx, job, call.name)
    if failure.is_loss:
        name = call.name
        observe.event("task.lost", level=30, run_id=job.run.id, task=name, reason=failure.message)
        return task_answers.lost(found, before, rules.task, rules.policy)
    # attempts that were lost are no retries
    policy = replace(rules.policy, retries=rules.policy.retries + before)
    return task_answers.failed(found, policy, ctx.jitter())


def times_lost(tx: Connection, job: Job, call: Call) -> int:
    """Count how often the task of a job was lost before; such attempts are no retries.

    The item of a run's first task has no step until its sending is written.
    """
    if not job.item.attempt:
        return 0
    found = attempts.errors(tx, job.run.id, tasks.step_of(call.path))
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
    """Read why a task has failed, as its worker's event told it; or how it was lost."""
    stack = error.get("stack")
    text = None if stack is None else str(stack)
    loss = loss_of(error)
    if loss is not None:
        return Failure(LOST, loss, text, is_loss=True)
    return Failure(str(error.get("name")), str(error.get("message")), text)
