"""Running an item: call, plan, write, and continue with the run.

No database connection is held while the app's code runs. A worker continues with a run in place
as long as the run's next request is due at once, for a bounded time.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from ... import observe
from ...domain.errors import LeaseLost, RunGone, SignalTaken, Stalled, WaitAnswered
from ...domain.functions import retries
from ...domain.limits import MAX_LAPSES
from ...domain.reply import decide
from ...domain.reply.plans import Plan
from ...domain.runs.items import Item, ItemKind
from ...domain.runs.runs import RunStatus
from ...storage.db import deadlines
from ...storage.db.outages import logged
from ...storage.queue import leases, queue_items
from ..intake.resume_waits_paged import Fanout, run_fanout
from ..runtime.app_fairness import place_of
from ..runtime.context import Context
from ..runtime.jobs import Job
from . import orphaned_calls, signals
from .apply import apply_all
from .cancel_on_event import CancelItem, run_cancellation
from .claims import Claimed, claim, load
from .flow_timers import Timer, run_timer
from .handlers import handler_of
from .handlers.policy import retry_policy
from .handlers.wait import plan_of_ended_wait
from .writes import Applied, Call, PlanWrite


def run_job(ctx: Context, job: Claimed) -> None:
    """Run a claimed item and, in place, the items that follow from it.

    Any error is logged and becomes a failed attempt. If not even that can be written, the lease
    lapses; lapses are counted.
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
    """Give back a failed item that belongs to no run, to be tried again later."""
    due_at = ctx.now() + retries.backoff(item.attempt, ctx.jitter(), ctx.tuning.linear_retry)
    try:
        ctx.committer.run_alone(lambda tx: queue_items.retry_later(tx, item, due_at, due_at))
    except LeaseLost:  # the item was written after all, or its lease has lapsed
        return
    except SQLAlchemyError as error:  # its lease will lapse
        observe.event("item.not_written", level=40, **logged(error))


def _run(ctx: Context, job: Claimed) -> None:
    if isinstance(job, Fanout):
        run_fanout(ctx, job)
        return
    if isinstance(job, CancelItem):
        run_cancellation(ctx, job)
        return
    if isinstance(job, Timer):
        run_timer(ctx, job)
        return
    try:
        with signals.task(job):
            _continue_in_place(ctx, job)
    finally:
        ctx.fairness.drop(place_of(job.function))


def _continue_in_place(ctx: Context, job: Job) -> None:
    """Run an item and, until a deadline, the run's next items that this worker holds."""
    deadline = ctx.now() + ctx.tuning.continue_for
    item = job.item
    try:
        current: Job | None = job
        while current is not None:
            current = _once(ctx, current, wants_next=ctx.now() < deadline)
            if current is not None:
                ctx.leases.pass_on(item, current.item)
                item = current.item
    finally:
        ctx.leases.drop(item)


def _once(ctx: Context, job: Job, *, wants_next: bool) -> Job | None:
    """Run one item; return the run's next one when this worker holds it."""
    planned = _planned(ctx, job)
    if planned is None:
        return None
    made, call = planned
    try:
        done = write_plan(ctx, job, made, call, wants_next=wants_next)
    except Exception as error:
        made = plan_again(ctx, job, made, error)
        done = write_plan(ctx, job, made, call, wants_next=False)
    ctx.connections.settle(job.item)
    if done is None:
        return None
    signals.committed(ctx, job, made, done)
    if job.item.kind is ItemKind.TASK:
        signals.task_ended(ctx, job, made, call)
    return None if done.next is None else _following(ctx, job, made, done, done.next)


def _planned(ctx: Context, job: Job) -> tuple[Plan, Call] | None:
    """Do what the item asks for, and decide what that means; None if another has it now."""
    started_at = ctx.now()
    if job.item.lapses >= MAX_LAPSES:
        return decide.worker_lost(job.item), Call(started_at, started_at)
    try:
        return handler_of(job)(ctx, job)
    except Exception as error:
        observe.event("item.failed", level=40, **logged(error))
        policy, name = retry_policy(ctx, job), type(error).__name__
        made = decide.crashed(job.item, policy, name, ctx.jitter())
        return made, Call(started_at, ctx.now(), worker=ctx.worker_name)


def plan_again(ctx: Context, job: Job, made: Plan, error: Exception) -> Plan:
    """Make the plan to write instead of one that could not be written."""
    if isinstance(error, WaitAnswered):
        return plan_of_ended_wait(ctx, job)
    if isinstance(error, Stalled):
        return replace(decide.fatal("NoProgress", error.message), defers=made.defers)
    if isinstance(error, SignalTaken):
        return replace(decide.fatal("Error", error.message), defers=made.defers)
    # otherwise an answer that the database refuses would be asked for again, for ever
    observe.event("item.unwritable", level=40, item_id=job.item.id, **logged(error))
    return decide.unwritable(job.item, retry_policy(ctx, job), ctx.jitter())


def write_plan(
    ctx: Context, job: Job, made: Plan, call: Call, *, wants_next: bool
) -> Applied | None:
    """Commit a plan; None when the lease is lost or the run has ended.

    Waits for an outage to end, however long it takes: the heartbeat keeps the lease. Raises the
    database's error when it refuses the plan itself.
    """
    item = job.item
    try:
        here = ctx.connections.takes(job.function.app_id)
        write = PlanWrite(ctx, job.run, item, made, call, wants_next, here)
        return ctx.committer.run(job.run.id, apply_all, write)
    except LeaseLost:
        observe.event("item.lease_lost", level=30, item_id=item.id, run_id=job.run.id)
    except RunGone:
        observe.event("item.run_gone", item_id=item.id, run_id=job.run.id)
        orphaned_calls.give_back_slots(ctx, job)
    return None


def _following(ctx: Context, job: Job, made: Plan, done: Applied, item: Item) -> Job | None:
    """Build the next job from what is known; read it if parallel steps wrote meanwhile."""
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
    """Claim the items and run the claimed ones one after another; return how many there were."""
    jobs = claim(ctx, item_ids)
    for job in jobs:
        run_job(ctx, job)
    return len(jobs)


def give_back(ctx: Context, now: datetime) -> int:
    """Give back every lease of this worker, for others to claim the items at once.

    Returns how many there were.
    """
    with ctx.db.transaction() as tx:
        return leases.release(tx, ctx.worker_id, now)


def count_leased(ctx: Context) -> int:
    """Count the leases of this worker, its child processes included."""
    with ctx.db.reading() as tx:
        return leases.count_leased(tx, ctx.worker_id)
