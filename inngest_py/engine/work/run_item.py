"""Work: the one way an item runs. Call, plan, write, and go on with the run.

No connection is held while the user's code runs. A worker goes on with a run in place as long
as its next request is due at once, for a bounded time.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from ... import observe
from ...domain.errors import LeaseLost, RunGone, SignalTaken, Stalled, WaitAnswered
from ...domain.functions import retries
from ...domain.limits import MAX_LAPSES
from ...domain.reply import decide as plans
from ...domain.reply import durable_endpoint, gateway_answers, request, timeouts
from ...domain.reply.decide import Plan, Policy, StepResult
from ...domain.reply.read import Reply
from ...domain.reply.wait_end import slept, woken
from ...domain.runs.items import Item, ItemKind
from ...domain.runs.runs import RunStatus
from ...domain.steps import gateway
from ...storage.db import deadlines
from ...storage.db.outages import logged
from ...storage.queue import leases, queue_items
from ..flow import limits
from ..intake.resume_waits_paged import Fanout, run_fanout
from ..intake.waits import answer_of
from ..runtime import signed_requests
from ..runtime.app_fairness import host_of
from ..runtime.context import Context
from ..runtime.jobs import Job
from . import orphaned_calls, signals
from .apply import apply_all
from .cancel_on_event import Cancellation, run_cancellation
from .claims import Claimed, claim, load
from .fire_timers import Timer, run_timer
from .writes import Applied, Call, Write


def run_job(ctx: Context, job: Claimed) -> None:
    """Run a claimed item and, in place, what follows from it.

    Whatever is raised meanwhile is logged and ends as a failed attempt; where not even that can be
    written, the lease lapses, which is counted.
    """
    ids = signals.ids(job.item, job if isinstance(job, Job) else None)
    with observe.bound(**ids), deadlines.patient():
        try:
            _run(ctx, job)
        except Exception as error:
            observe.event("item.failed", level=40, **logged(error))
            if not isinstance(job, Job):
                _put_off(ctx, job.item)


def _put_off(ctx: Context, item: Item) -> None:
    """Give back an item of no run that failed, to be tried again later."""
    due_at = ctx.now() + retries.backoff(item.attempt, ctx.jitter(), ctx.tuning.linear_retry)
    try:
        ctx.committer.run_alone(lambda tx: queue_items.retry_later(tx, item, due_at))
    except LeaseLost:  # it was written, or lapsed
        return
    except SQLAlchemyError as error:  # it will lapse
        observe.event("item.not_written", level=40, **logged(error))


def _run(ctx: Context, job: Claimed) -> None:
    if isinstance(job, Fanout):
        run_fanout(ctx, job)
        return
    if isinstance(job, Cancellation):
        run_cancellation(ctx, job)
        return
    if isinstance(job, Timer):
        run_timer(ctx, job)
        return
    try:
        with signals.task(job):
            _carry(ctx, job)
    finally:
        ctx.shares.drop(host_of(job.function.url))


def _carry(ctx: Context, job: Job) -> None:
    deadline = ctx.now() + ctx.tuning.carry_for
    item = job.item
    try:
        current: Job | None = job
        while current is not None:
            current = _once(ctx, current, carry=ctx.now() < deadline)
            if current is not None:
                ctx.leases.pass_on(item, current.item)
                item = current.item
    finally:
        ctx.leases.drop(item)


def _once(ctx: Context, job: Job, *, carry: bool) -> Job | None:
    """Run one item; return the run's next one when this worker holds it."""
    made, call = _planned(ctx, job)
    try:
        done = _write(ctx, job, made, call, carry=carry)
    except Exception as error:
        made = _instead(ctx, job, made, error)
        done = _write(ctx, job, made, call, carry=False)
    if done is None:
        return None
    signals.committed(ctx, job, made, done)
    return None if done.next is None else _following(ctx, job, made, done, done.next)


def _planned(ctx: Context, job: Job) -> tuple[Plan, Call]:
    """Do what the item asks for, and decide what that means."""
    started_at = ctx.now()
    if job.item.lapses >= MAX_LAPSES:
        return plans.worker_lost(job.item), Call(started_at, started_at)
    try:
        return _HANDLERS.get(job.item.kind, _request)(ctx, job)
    except Exception as error:
        observe.event("item.failed", level=40, **logged(error))
        policy, name = _policy(ctx, job), type(error).__name__
        made = plans.crashed(job.item, policy, name, ctx.jitter())
        return made, Call(started_at, ctx.now())


def _instead(ctx: Context, job: Job, made: Plan, error: Exception) -> Plan:
    """Plan again what could not be written."""
    if isinstance(error, WaitAnswered):
        return woken(job.run, job.item, answer_of(ctx, job.item), open_until_now=False)
    if isinstance(error, Stalled):
        return replace(plans.fatal("NoProgress", error.message), defers=made.defers)
    if isinstance(error, SignalTaken):
        return replace(plans.fatal("Error", error.message), defers=made.defers)
    # an answer that the database refuses would be asked for again and again, for ever
    observe.event("item.unwritable", level=40, item_id=job.item.id, **logged(error))
    return plans.unwritable(job.item, _policy(ctx, job), ctx.jitter())


def _write(ctx: Context, job: Job, made: Plan, call: Call, *, carry: bool) -> Applied | None:
    """Commit a plan; None when it is not ours to write any more.

    An outage of the database is waited for, however long it takes: the heartbeat keeps the lease.
    Raises what the database raised when it refuses the plan itself.
    """
    item = job.item
    try:
        write = Write(ctx, job.run, item, made, call, carry)
        return ctx.committer.run(job.run.id, apply_all, write)
    except LeaseLost:
        observe.event("item.lease_lost", level=30, item_id=item.id, run_id=job.run.id)
    except RunGone:
        observe.event("item.run_gone", item_id=item.id, run_id=job.run.id)
        orphaned_calls.over(ctx, job)
    return None


def _policy(ctx: Context, job: Job) -> Policy:
    own = limits.backoff(job.function, ctx.now())
    return Policy(job.function.config.retries, ctx.tuning.linear_retry, own)


def _wake(ctx: Context, job: Job) -> tuple[Plan, Call]:
    """End a sleep: its memo is null (execution.md §4.1)."""
    item = job.item
    trace = slept(item, "completed")
    result = StepResult(item.step or "", trace.name, trace.op, "null", races=item.opts is not None)
    made = Plan(results=[result], traces=[trace])
    return made, Call(started_at=item.queued_at, ended_at=ctx.now())


def _request(ctx: Context, job: Job) -> tuple[Plan, Call]:
    """Call the SDK and decide what its answer means."""
    started_at = ctx.now()
    over = plans.overflow(job.run)
    late = timeouts.exceeded(job.function.config.timeouts, job.run, started_at)
    if late is not None:
        over = timeouts.cancelled("TimeoutExceeded", late.message)
    if over is not None:
        return over, Call(started_at, started_at)
    policy = _policy(ctx, job)
    request_id = ctx.new_id(started_at)
    if job.run.endpoint is None:
        url, reply = job.function.url, _ask(ctx, job, policy, request_id)
    else:
        call = durable_endpoint.call(job.run, job.item, request_id=request_id)
        reply = durable_endpoint.answer(
            signed_requests.send(
                ctx, call.method, call.url, call.headers, call.body, signs=call.signed
            )
        )
        url = call.url
    ended_at = ctx.now()
    item = _as_it_is_now(ctx, job.item)
    made = plans.plan(job.run, item, policy, reply, ended_at, ctx.jitter())
    done = Call(started_at, ended_at, reply.status or None)
    signals.call(job, "app", url, request_id, made, done)
    return made, done


def _fetch(ctx: Context, job: Job) -> tuple[Plan, Call]:
    """Make the call that a step asked the server for (execution.md §4.2)."""
    wanted = gateway.read(job.item.opts or "{}")
    started_at = ctx.now()
    reply = ctx.fetcher.fetch(wanted)
    ended_at = ctx.now()
    made = gateway_answers.plan(
        job.run, job.item, _policy(ctx, job), wanted, reply, ended_at, ctx.jitter()
    )
    done = Call(started_at, ended_at, reply.status or None)
    signals.call(job, "gateway", wanted.url, "", made, done)
    return made, done


def _ring(ctx: Context, job: Job) -> tuple[Plan, Call]:
    """End a run whose time is over (waits.md §7.3)."""
    now = ctx.now()
    return timeouts.rung(timeouts.read(job.item.opts or ""), job.run), Call(now, now)


def _end_wait(ctx: Context, job: Job) -> tuple[Plan, Call]:
    """End a wait with its answer, or without one as timed out (waits.md §2)."""
    made = woken(job.run, job.item, job.answer)
    return made, Call(started_at=job.item.queued_at, ended_at=ctx.now())


_HANDLERS = {
    ItemKind.SLEEP: _wake,
    ItemKind.GATEWAY: _fetch,
    ItemKind.TIMEOUT: _ring,
    ItemKind.PAUSE: _end_wait,
}


def _ask(ctx: Context, job: Job, policy: Policy, request_id: str) -> Reply:
    body = request.body(
        job.run, job.item, job.memo, max_attempts=policy.max_attempts, request_id=request_id
    )
    headers = request.headers(job.run, job.item, request_id=request_id)
    return signed_requests.send(ctx, "POST", request.url(job.function.url, job.item), headers, body)


def _as_it_is_now(ctx: Context, item: Item) -> Item:
    """Read a retried item's attempt again: checkpoints of its own request restart the count."""
    if not item.attempt:
        return item
    try:
        with ctx.db.reading() as tx:
            attempt = leases.attempt_of(tx, item)
    except SQLAlchemyError:  # away just now: the answer is worth more than the exact attempt
        return item
    return item if attempt is None else replace(item, attempt=attempt)


def _following(ctx: Context, job: Job, made: Plan, done: Applied, item: Item) -> Job | None:
    """Build the next job from what is known, or read it when other branches wrote meanwhile."""
    if len(job.memo) + len(done.stored) != done.step_count or made.defers:
        found = ctx.committer.read(lambda tx: load(tx, ctx, [item]))
        return found[0] if found else None
    memo = dict(job.memo)
    for result in done.stored:
        memo[result.hash] = result.value
    run = replace(
        job.run,
        status=RunStatus.RUNNING,
        request_version=done.request_version,
        force_plan=done.force_plan,
        step_count=done.step_count,
        state_bytes=job.run.state_bytes + sum(result.size for result in done.stored),
    )
    return Job(item, run, job.function, memo)


def work(ctx: Context, item_ids: Sequence[str]) -> int:
    """Claim the items and run ours one after another; say how many were ours."""
    jobs = claim(ctx, item_ids)
    for job in jobs:
        run_job(ctx, job)
    return len(jobs)


def give_back(ctx: Context, now: datetime) -> int:
    """Return every lease of this worker, for others to take at once."""
    with ctx.db.transaction() as tx:
        return leases.release(tx, ctx.worker_id, now)
