"""The tasks of a Celery app: find those that are due, and send them to the app's broker."""

from dataclasses import replace
from datetime import datetime, timedelta

from .... import observe
from ....domain.canvas import interpret
from ....domain.canvas.nodes import Canvas
from ....domain.errors import Invalid
from ....domain.limits import MAX_WAIT
from ....domain.reply import decide, task_answers, timeouts
from ....domain.reply.plans import Plan
from ....domain.reply.task_answers import Failure
from ....domain.runs.items import ItemKind
from ....domain.steps import task_states, tasks
from ....domain.steps.task_states import SentTask
from ....domain.steps.tasks import Token
from ....domain.values import canonical
from ....storage.queue import leases, sent_tasks
from ...runtime.celery_apps import BrokerAway, TaskMessage
from ...runtime.context import Context
from ...runtime.jobs import Job
from .. import canvases
from ..writes import Call
from .policy import retry_policy

_AGAIN = timedelta(seconds=5)


def run_tasks(ctx: Context, job: Job) -> tuple[Plan, Call] | None:
    """Plan the tasks that are due, or send one; None when the app has it, or will get it later."""
    now = ctx.now()
    late = timeouts.exceeded(job.function.config.timeouts, job.run, now)
    if late is not None:
        return timeouts.cancelled("TimeoutExceeded", late.message), Call(now, now)
    if job.item.kind is ItemKind.TASK:
        return _task(ctx, job, tasks.call_from_json(job.item.opts or ""))
    try:
        moves = _due(job, canvases.of_run(job, now))
    except Invalid as error:
        return decide.fatal("InvalidSignature", error.message), Call(now, now)
    plan = task_answers.begun(job.run, moves, now)
    if job.item.kind is ItemKind.START and _is_single(plan):
        _send(ctx, job, tasks.call_from_json(plan.follow_ups[0].opts or ""))
        return None
    return plan, Call(now, now)


def _due(job: Job, canvas: Canvas) -> interpret.Moves:
    if job.item.kind is ItemKind.START:
        return _with_input(job, interpret.replay(canvas, _copied(job, canvas)))
    group = canonical.loads(job.item.opts or "{}").get("joined", "")

    def result(path: str) -> object:
        return canonical.loads(job.memo[tasks.step_of(path)])["data"]

    return interpret.joined(canvas, group, result)


def _copied(job: Job, canvas: Canvas) -> dict[str, object]:
    """Read the results that a rerun from a step took from the first run, by path."""
    if not job.memo:
        return {}
    steps = {path: job.memo.get(tasks.step_of(path)) for path, _, _ in interpret.tasks(canvas)}
    return {path: canonical.loads(text)["data"] for path, text in steps.items() if text is not None}


def _with_input(job: Job, moves: interpret.Moves) -> interpret.Moves:
    """Give the step of a rerun its new arguments, if it has some; keyword arguments stay."""
    run = job.run
    if run.input is None:
        return moves
    args = canonical.loads(run.input)["input"]
    calls = [
        replace(call, args=args) if tasks.step_of(call.path) == run.input_step else call
        for call in moves.calls
    ]
    return replace(moves, calls=tuple(calls))


def _is_single(plan: Plan) -> bool:
    """Say whether a run begins with one task at once: its first item becomes that task's."""
    groups = plan.tasks is not None and plan.tasks.opens
    return len(plan.follow_ups) == 1 and not groups and not plan.follow_ups[0].delay


def _task(ctx: Context, job: Job, call: interpret.Call) -> tuple[Plan, Call] | None:
    sent = _sent_before(ctx, job) if job.item.lapses else None
    if sent is not None:
        failure = Failure("TaskTimeout", "the task has not ended within its time")
        plan = task_answers.failed(job.item, call, failure, retry_policy(ctx, job), ctx.jitter())
        return plan, Call(sent, ctx.now())
    _send(ctx, job, call)
    return None


def _sent_before(ctx: Context, job: Job) -> datetime | None:
    """Say when the app got this attempt, whose time is then over; None if its sender was lost."""
    with ctx.db.reading() as tx:
        known = task_states.from_json(sent_tasks.known(tx, job.item))
    return None if known is None or known.attempt != job.item.attempt else known.sent


def _send(ctx: Context, job: Job, call: interpret.Call) -> None:
    """Send a task to its app's broker; put it off while the broker is away."""
    item = job.item
    try:
        app = ctx.celery_apps.get(ctx.db, job.function.app_id)
        now = ctx.now()
        token = Token(item.id, item.attempt, call.path, now).signed(app.secret)
        name, of_run = tasks.task_id(item.id, item.attempt), item.run_id.lower()
        message = TaskMessage(name, call.name, call.args, call.kwargs, call.options, token, of_run)
        queue = str(call.options.get("queue") or app.queue)
        known = SentTask(item.attempt, now, queue, _limit(job)).to_json()
        step, opts, until = tasks.step_of(call.path), tasks.call_to_json(call), now + MAX_WAIT
        sent = sent_tasks.Sent(item, step, call.label, opts, app.app_id, known, until)
        ctx.celery_apps.brokers.send(app, message)
        # after: it may be written at once. If the answer was quicker, that does nothing
        ctx.celery_apps.note_sent(sent)
        ctx.celery_apps.note_reached(app.app_id)
    except BrokerAway as error:
        if ctx.celery_apps.note_away(job.function.app_id):
            observe.event("celery.away", level=30, app=job.function.app_name, error=error.message)
        later = ctx.now() + _AGAIN
        ctx.committer.run_alone(lambda tx: leases.put_off(tx, item, later))


def _limit(job: Job) -> timedelta:
    task = job.function.config.celery
    return MAX_WAIT if task is None else task.timeout
