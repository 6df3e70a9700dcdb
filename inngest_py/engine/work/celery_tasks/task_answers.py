"""Answers of Celery apps: apply them to their runs, many in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from .... import observe
from ....domain.canvas import interpret
from ....domain.canvas.nodes import walk
from ....domain.errors import InngestPyError, Invalid, TooLarge
from ....domain.reply import decide, task_answers
from ....domain.reply.plans import Plan
from ....domain.reply.task_answers import Failure
from ....domain.runs.items import ItemKind
from ....domain.steps import tasks
from ....domain.steps.tasks import Token
from ....domain.values import canonical
from ....domain.values.json_types import JsonObject
from ....storage.db.outages import logged, outage
from ....storage.queue import sent_tasks
from ...runtime.celery_apps import CeleryApp
from ...runtime.context import Context
from ...runtime.jobs import Job
from .. import run_item, signals
from ..claims import load
from ..handlers.policy import retry_policy
from ..writes import Applied, Call, PlanWrite
from . import canvases, task_jobs, workflows
from .task_failures import failed, failed_or_lost, failure_of, times_lost, unknown_failure
from .write_together import write_together


@dataclass(slots=True)
class TaskAnswer:
    """An answer as it came: the result of a task, or that it has failed for good.

    `reason_wanted` means that the reason of a failure may still come from the app's events.
    `unreadable` says why the result cannot be stored; None for one that can. `origin` is the
    process and the host that sent the answer, as Celery names them; empty if it does not say so.
    """

    app: CeleryApp
    token: str
    failed: bool
    value: object = None
    reason_wanted: bool = True
    unreadable: str | None = None
    origin: str = ""


_Given = dict[tuple[str, int], tuple[Token, TaskAnswer]]  # by item and attempt
_FRESH_SECONDS = 5.0  # how soon a change of a function's settings counts


@dataclass(slots=True)
class _Found:
    """An answer with what it ends. `kept` is a job that was not read from rows: see SentJobs."""

    answer: TaskAnswer
    job: Job
    call: interpret.Call
    token: Token
    error: JsonObject | None = None
    kept: bool = False


def apply_answers(ctx: Context, answers: Sequence[TaskAnswer]) -> list[TaskAnswer]:
    """Apply answers, and continue their runs; return failures whose reason is still to come.

    An answer is passed over, with a log line at most, when it is not signed by us, when it is of
    an attempt that is over, or of a run that has ended. Raises SQLAlchemyError in an outage: the
    answers must then be given again.
    """
    given: _Given = {}
    for answer in answers:
        try:
            token = tasks.read_token(answer.token, answer.app.secret)
        except Invalid as error:
            observe.event("task.forged", level=30, app=answer.app.name, error=error.message)
            continue
        given.setdefault((token.item_id, token.attempt), (token, answer))
    found = _kept(ctx, given)
    known = {(one.token.item_id, one.token.attempt) for one in found}
    found += _read(ctx, {key: one for key, one in given.items() if key not in known})
    later = [one.answer for one in found if _lacks_reason(one)]
    _apply(ctx, [one for one in found if not _lacks_reason(one)])
    return later


def _kept(ctx: Context, given: _Given) -> list[_Found]:
    """Find the jobs of results whose tasks this process has sent; failures are read from rows."""
    found = []
    for (item_id, attempt), (token, answer) in given.items():
        known = ctx.celery_apps.jobs.take(item_id, attempt)
        if known is not None and not answer.failed and answer.unreadable is None:
            found.append(_Found(answer, *known, token, kept=True))
    if found:
        ctx.catalog.refresh_if_older(ctx.db, _FRESH_SECONDS)
    for one in found:
        one.job.function = ctx.catalog.known(one.job.run.function_id) or one.job.function
    return found


def _read(ctx: Context, given: _Given) -> list[_Found]:
    """Read the jobs of answers; leave out those that nobody waits for."""
    found = _find(ctx, given)
    if len(found) < len(given) and _take_free(ctx, given, found):
        found = _find(ctx, given)
    return found


def _take_free(ctx: Context, given: _Given, found: Sequence[_Found]) -> bool:
    """Lease the items of answers that nobody has leased any more; say whether there are some.

    Their senders were lost, or did not hear of the broker that it had taken them. Else such a task
    would be sent again although its answer is here.
    """
    known = {(one.job.item.id, one.job.item.attempt) for one in found}
    missing, now = sorted(given.keys() - known), ctx.now()
    lease = (ctx.new_id(now), now + ctx.tuning.lease, ctx.worker_id)
    return ctx.committer.run_alone(lambda tx: sent_tasks.take_free(tx, missing, *lease)) > 0


def _find(ctx: Context, given: _Given) -> list[_Found]:
    """Read the items of answers, with their runs; leave out those that nobody waits for."""
    if not given:
        return []

    def read(tx: Connection) -> tuple[dict[str, JsonObject], list[Job]]:
        rows = sent_tasks.leased(tx, sorted({item_id for item_id, _ in given}))
        mine = [item for item, _ in rows if (item.id, item.attempt) in given]
        failed = {
            tasks.task_id(item.id, item.attempt): item.id
            for item in mine
            if given[item.id, item.attempt][1].failed
        }
        stored = sent_tasks.failures(tx, sorted(failed))
        errors = {failed[name]: canonical.loads(error) for name, error in stored.items()}
        return errors, load(tx, ctx, mine)

    errors, jobs = ctx.committer.read(read)
    found = []
    for job in jobs:
        token, answer = given[job.item.id, job.item.attempt]
        call = _call(ctx, job, token)
        if call is not None:
            found.append(_Found(answer, job, call, token, errors.get(job.item.id)))
    return found


def _call(ctx: Context, job: Job, token: Token) -> interpret.Call | None:
    """Make the call that an answer belongs to, also if its sending was not written yet."""
    if job.item.kind is ItemKind.TASK and job.item.opts is not None:
        return tasks.call_from_json(job.item.opts)
    canvas = canvases.of_run(ctx, job)
    label = canvas.labels.get(token.path)
    # soon found: such a task is the run's first
    name = next((task.name for path, task in walk(canvas.root, "") if path == token.path), "")
    return None if label is None else interpret.Call(token.path, label, name, [], {}, {})


def _lacks_reason(found: _Found) -> bool:
    answer = found.answer
    return answer.failed and answer.reason_wanted and found.error is None


def _apply(ctx: Context, found: Sequence[_Found]) -> None:
    """Write all in one transaction; if one of them is void, each in its own."""
    if not found:
        return
    following: list[Job] = []
    try:
        if not _apply_together(ctx, found, following):
            for one in _read_anew(ctx, found):
                _apply_one(ctx, one, following)
    finally:  # also if an outage began after some were committed
        _continue(ctx, following)


def _read_anew(ctx: Context, found: Sequence[_Found]) -> list[_Found]:
    """Read the rows of kept jobs: one of them may be out of date."""
    kept = {(one.token.item_id, one.token.attempt): one for one in found if one.kept}
    given = {key: (one.token, one.answer) for key, one in kept.items()}
    return [*(one for one in found if not one.kept), *_read(ctx, given)]


def _apply_together(ctx: Context, found: Sequence[_Found], following: list[Job]) -> bool:
    """Write all in one transaction; say whether that was done."""
    if len(found) < 2 and not found[0].kept:
        return False
    writes = [_write(ctx, one) for one in found]
    if not write_together(ctx, writes):
        return False
    ctx.celery_apps.forget_sent([one.job.item.id for one in found])
    for one, write in zip(found, writes, strict=True):
        _committed(ctx, one.job, write.plan, write.done, following)
        signals.task_ended(ctx, one.job, write.plan, write.call, one.call.name)
    return True


def _apply_one(ctx: Context, one: _Found, following: list[Job]) -> None:
    made, call = _planned(ctx, one)
    try:
        done = run_item.write_plan(ctx, one.job, made, call, wants_next=True)
    except Exception as error:
        if outage(error):  # its answer can be stored, only not now
            raise
        made = run_item.plan_again(ctx, one.job, made, error)
        done = run_item.write_plan(ctx, one.job, made, call, wants_next=False)
    ctx.celery_apps.forget_sent([one.job.item.id])  # not before: an outage may keep it
    if done is not None:
        _committed(ctx, one.job, made, done, following)
        signals.task_ended(ctx, one.job, made, call, one.call.name)


def _write(ctx: Context, found: _Found) -> PlanWrite:
    plan, call = _planned(ctx, found)
    return PlanWrite(ctx, found.job.run, found.job.item, plan, call, wants_next=True)


def _planned(ctx: Context, found: _Found) -> tuple[Plan, Call]:
    """Decide what an answer means for its run; an answer of which nothing can be made fails it."""
    job, now = found.job, ctx.now()
    call = Call(found.token.sent, now)
    try:
        return _decided(ctx, found), call
    except SQLAlchemyError:
        raise
    except InngestPyError as error:
        return _unusable(ctx, found, error), call
    except Exception as error:  # the same answer would come again, before all others
        observe.event("task.answer_failed", level=40, run_id=job.run.id, **logged(error))
        name = type(error).__name__
        return decide.crashed(job.item, retry_policy(ctx, job), name, ctx.jitter()), call


def _unusable(ctx: Context, found: _Found, error: InngestPyError) -> Plan:
    """Fail the task of an answer of which nothing can be made; its run, where it has no canvas."""
    name = task_answers.TOO_LARGE if isinstance(error, TooLarge) else "InvalidAnswer"
    failure = Failure(name, error.message)
    try:
        return task_answers.unusable(failed(ctx, found.job, found.call, failure))
    except InngestPyError:
        return decide.fatal(name, error.message)


def _decided(ctx: Context, found: _Found) -> Plan:
    job, now = found.job, ctx.now()
    if found.answer.failed:
        name = tasks.task_id(job.item.id, job.item.attempt)
        failure = (
            failure_of(found.error) if found.error else unknown_failure(name, found.answer.origin)
        )
        lost = ctx.committer.read(lambda tx: times_lost(tx, job, found.call))
        return failed_or_lost(ctx, job, found.call, failure, lost)
    if found.answer.unreadable is not None:
        problem = found.answer.unreadable
        raise Invalid(f"the result of task {found.call.label!r} cannot be stored: {problem}")
    canvas, scope = canvases.of_run(ctx, job), workflows.scope(ctx, job)
    moves = interpret.after(canvas, found.call.path, found.answer.value, scope)
    return task_answers.succeeded(job.run, found.call, found.answer.value, moves, now)


def _committed(ctx: Context, job: Job, made: Plan, done: Applied, following: list[Job]) -> None:
    """Send hints, and note the run's next item, which this process holds."""
    signals.committed(ctx, job, made, done)
    if done.next is not None:
        ctx.leases.hold(done.next)
        stored = job.run.state_bytes + sum(result.size for result in done.stored)
        run = replace(job.run, step_count=done.step_count, state_bytes=stored)
        following.append(Job(done.next, run, job.function, {}))


def _continue(ctx: Context, following: Sequence[Job]) -> None:
    """Run the next items of runs. If they cannot be read, their leases lapse."""
    if not following:
        return
    # a task is called with what its item holds
    jobs = [job for job in following if job.item.kind is ItemKind.TASK]
    others = [job.item for job in following if job.item.kind is not ItemKind.TASK]
    try:
        if others:
            jobs += ctx.committer.read(lambda tx: load(tx, ctx, others))
    except SQLAlchemyError as error:
        observe.event("item.not_read", level=40, **logged(error))
        for item in others:
            ctx.leases.drop(item)
    task_jobs.run_together(ctx, jobs)
