"""The tasks of a Celery app: find those that are due, and send them to the app's broker."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from .... import observe
from ....domain.canvas import interpret
from ....domain.canvas.nodes import Canvas
from ....domain.errors import Invalid
from ....domain.limits import MAX_WAIT
from ....domain.reply import decide, task_answers, timeouts
from ....domain.reply.plans import Plan
from ....domain.reply.task_answers import TIMED_OUT, Failure
from ....domain.runs.items import ItemKind
from ....domain.steps import task_states, tasks
from ....domain.steps.task_states import SentTask
from ....domain.steps.tasks import Token
from ....domain.values import canonical
from ....storage.queue import sent_tasks, waiting_lines
from ...runtime.celery_apps import LINE_PREFIX, BrokerAway, CeleryApp, TaskMessage
from ...runtime.context import Context
from ...runtime.jobs import Job
from ..celery_tasks import canvases, task_failures, workflows
from ..writes import Call
from .task_rules import rules_of


def run_tasks(ctx: Context, job: Job) -> tuple[Plan, Call] | None:
    """Plan the tasks that are due, or send one; None when the app has it, or will get it later."""
    now = ctx.now()
    late = timeouts.exceeded(job.function.config.timeouts, job.run, now)
    if late is not None:
        return timeouts.cancelled("TimeoutExceeded", late.message), Call(now, now)
    if job.item.kind is ItemKind.TASK:
        return _task(ctx, job, tasks.call_from_json(job.item.opts or ""))
    try:
        plan = _begun(ctx, job, canvases.of_run(ctx, job), now)
    except Invalid as error:
        return decide.fatal("InvalidSignature", error.message), Call(now, now)
    if job.item.kind is ItemKind.START and _is_single(plan):
        return _task(ctx, job, tasks.call_from_json(plan.follow_ups[0].opts or ""))
    return plan, Call(now, now)


def call_to_send(ctx: Context, job: Job) -> interpret.Call | None:
    """Give the call of a job that has nothing to do but to send one task.

    None means that run_tasks() has to look: the task is late, a worker was lost, or the run may
    begin with more than one task.
    """
    item, now = job.item, ctx.now()
    if item.lapses or timeouts.exceeded(job.function.config.timeouts, job.run, now) is not None:
        return None
    if item.kind is ItemKind.TASK:
        return _in_time(tasks.call_from_json(item.opts or ""), now)
    task = job.function.config.celery
    if item.kind is not ItemKind.START or task is None or task.workflow:
        return None
    moves = _due(ctx, job, canvases.of_run(ctx, job))
    single = len(moves.calls) == 1 and not moves.opens and not moves.skips and not moves.ended
    call = moves.calls[0] if single else None
    if call is None or task_answers.delay(call.options, now):
        return None
    return _in_time(tasks.with_deadline(call, job.run.queued_at), now)


def _in_time(call: interpret.Call, now: datetime) -> interpret.Call | None:
    """Return a call whose deadline is not over, else None."""
    until = tasks.deadline(call)
    return call if until is None or until > now else None


def _begun(ctx: Context, job: Job, canvas: Canvas, now: datetime) -> Plan:
    moves, group = _due(ctx, job, canvas), _joined(job)
    if moves.ended and tasks.is_of_errback(group):
        return task_answers.errbacks_ended(job.memo, group.removesuffix("!"))
    if job.item.kind is ItemKind.START:  # seconds of `expires` count from the run's creation
        calls = [tasks.with_deadline(call, job.run.queued_at) for call in moves.calls]
        moves = replace(moves, calls=tuple(calls))
    return task_answers.begun(job.run, moves, now, of_errback=tasks.is_of_errback(group))


def _due(ctx: Context, job: Job, canvas: Canvas) -> interpret.Moves:
    scope = workflows.scope(ctx, job)
    if job.item.kind is ItemKind.START:
        results, edited = _copied(job, canvas), _edited(job, canvas)
        return interpret.replay(canvas, results, scope=scope, edited=edited)

    def result(path: str) -> object:
        return tasks.result_from_json(job.memo[tasks.step_of(path)])

    return interpret.joined(canvas, _joined(job), result, scope)


def _joined(job: Job) -> str:
    """Return the group whose last member has ended; empty for a start, and for the whole canvas."""
    if job.item.kind is ItemKind.START:  # its `opts` say whether a throttle has charged it
        return ""
    group: str = canonical.loads(job.item.opts or "{}").get("joined", "")
    return group


def _copied(job: Job, canvas: Canvas) -> dict[str, object]:
    """Read the results that a rerun from a step took from the first run, by path."""
    if not job.memo:
        return {}
    steps = {path: job.memo.get(tasks.step_of(path)) for path, _, _ in interpret.tasks(canvas)}
    return {path: tasks.result_from_json(text) for path, text in steps.items() if text is not None}


def _edited(job: Job, canvas: Canvas) -> dict[str, interpret.Edited]:
    """Return the new arguments that a rerun gives to its step; what is not given stays."""
    run = job.run
    if run.input is None:
        return {}
    new = tasks.edited_from_json(run.input)
    paths = (path for path, _, _ in interpret.tasks(canvas))
    return {path: new for path in paths if tasks.step_of(path) == run.input_step}


def _is_single(plan: Plan) -> bool:
    """Say whether a run begins with one task at once: its first item becomes that task's."""
    groups = plan.tasks is not None and plan.tasks.opens
    alone = len(plan.follow_ups) == 1 and not groups and not plan.results
    return alone and not plan.follow_ups[0].delay


def _task(ctx: Context, job: Job, call: interpret.Call) -> tuple[Plan, Call] | None:
    sent = _sent_before(ctx, job) if job.item.lapses else None
    now = ctx.now()
    if _in_time(call, now) is None and (sent is None or sent.started is None):
        return task_failures.expired(ctx, job, call), Call(now if sent is None else sent.sent, now)
    if sent is not None:
        failure = Failure(TIMED_OUT, "the task has not ended within its time")
        failed = task_failures.failed(ctx, job, call, failure)
        plan = task_answers.timed_out(failed, rules_of(ctx, job, call.name).policy, ctx.jitter())
        return plan, Call(sent.sent, now)
    send(ctx, [(job, call)])
    return None


def _is_known_whole(job: Job) -> bool:
    """Say whether nothing but the task's own end will change what the job has of its run."""
    run, task = job.run, job.function.config.celery
    free = run.slots is None and run.singleton_key is None
    return free and (task is None or not task.workflow) and canvases.has_one_task_at_a_time(job)


def _sent_before(ctx: Context, job: Job) -> SentTask | None:
    """Read what the app got of this attempt, whose time is over; None if its sender was lost."""
    text = ctx.committer.read(lambda tx: sent_tasks.known(tx, job.item))
    known = task_states.from_json(text)
    return None if known is None or known.attempt != job.item.attempt else known


def send(ctx: Context, due: Sequence[tuple[Job, interpret.Call]]) -> None:
    """Send tasks to the brokers of their apps; put off those whose broker is away."""
    by_app: dict[str, list[tuple[Job, interpret.Call]]] = defaultdict(list)
    for job, call in due:
        by_app[job.function.app_id].append((job, call))
    for app_id, of_app in by_app.items():
        try:
            if ctx.celery_apps.is_away(app_id, ctx.now()):
                _wait(ctx, app_id, of_app)
                continue
            _send_to(ctx, ctx.celery_apps.get(ctx.committer, app_id), of_app)
            ctx.celery_apps.note_reached(app_id)
        except BrokerAway as error:
            if ctx.celery_apps.note_away(app_id, ctx.now()):
                name = of_app[0][0].function.app_name
                observe.event("celery.away", level=30, app=name, error=error.message)
            _wait(ctx, app_id, of_app)


def _wait(ctx: Context, app_id: str, due: Sequence[tuple[Job, interpret.Call]]) -> None:
    """Let tasks wait in a line of their app, which costs nothing until its broker is back."""
    items, line = [job.item for job, _ in due], LINE_PREFIX + app_id
    ctx.committer.run_alone(lambda tx: waiting_lines.give_back(tx, items, line))


def _send_to(ctx: Context, app: CeleryApp, due: Sequence[tuple[Job, interpret.Call]]) -> None:
    now, messages, sent = ctx.now(), [], []
    for job, call in due:
        item, rules = job.item, rules_of(ctx, job, call.name).task
        token = Token(item.id, item.attempt, call.path, now).signed(app.secret)
        name, of_run = tasks.task_id(item.id, item.attempt), item.run_id.lower()
        queue = str(call.options.get("queue") or rules.queue or app.queue)
        options = {**call.options, "queue": queue}
        messages.append(
            TaskMessage(name, call.name, call.args, call.kwargs, options, token, of_run)
        )
        expires = tasks.deadline(call)
        known = SentTask(item.attempt, now, queue, rules.timeout, expires=expires).to_json()
        step, opts = tasks.step_of(call.path), tasks.call_to_json(call)
        # no later than MAX_WAIT, as a time near the end of the calendar cannot be stored
        until = now + MAX_WAIT
        if expires is not None and expires < until:
            until = expires + task_states.UNWATCHED
        sent.append(sent_tasks.Sent(item, step, call.label, opts, app.app_id, known, until))
        if _is_known_whole(job):  # before: the answer may be quick
            ctx.celery_apps.jobs.keep(job, call)
    ctx.celery_apps.brokers.send(app, messages)
    # after: it may be written at once. If an answer was quicker, that does nothing
    ctx.celery_apps.note_sent(sent)
