"""Work: the one way an item runs. Claim, load, call, plan, write, and go on with the run.

No connection is held while the user's code runs. A worker goes on with a run in place as long
as its next request is due at once, for a bounded time.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from .. import observe
from ..domain import plan as plans
from ..domain import request
from ..domain.errors import LeaseLost, RunGone
from ..domain.items import Item, ItemKind
from ..domain.plan import Plan, Policy, StepResult, Trace
from ..domain.runs import Run, RunStatus
from ..storage import queue, runs, steps
from ..storage.session import outage, retriable
from .apply import Applied, Call, apply
from .catalog import Function
from .context import Context


class Job:
    """A leased item with all that its request needs: run, function and memo."""

    __slots__ = ("function", "item", "memo", "run")

    def __init__(self, item: Item, run: Run, function: Function, memo: dict[str, str]) -> None:
        self.item, self.run, self.function, self.memo = item, run, function, memo


def claim(ctx: Context, item_ids: Sequence[str]) -> list[Job]:
    """Lease the items that are ours to run and load what they need, in one transaction.

    Raises DBAPIError when the database is away; the edge retries that.
    """
    lease_id = ctx.new_id()
    now = ctx.now()
    with ctx.db.transaction() as tx:
        items = queue.claim(
            tx,
            item_ids,
            lease_id=lease_id,
            now=now,
            lease=ctx.tuning.lease,
            worker=ctx.worker_id,
        )
        if not items:  # duplicate, early or late hints: nothing to do
            return []
        starting = [item.run_id for item in items if item.kind is ItemKind.START]
        if starting:
            runs.begin(tx, starting, now)
        jobs = _load(tx, ctx, items)
    for job in jobs:
        ctx.leases.hold(job.item.lease_id)
        if job.item.kind is ItemKind.START and job.item.attempt == 0:
            observe.tell(observe.run_started, run_id=job.run.id, function_id=job.run.function_id)
    return jobs


def _load(tx: Connection, ctx: Context, items: Sequence[Item]) -> list[Job]:
    found = runs.load(tx, sorted({item.run_id for item in items}))
    with_steps = [run_id for run_id, (run, _) in found.items() if run.step_count]
    memos = steps.memo(tx, with_steps) if with_steps else {}
    jobs = []
    for item in items:
        if item.run_id not in found:
            observe.event("item.orphan", level=30, item_id=item.id, run_id=item.run_id)
            queue.drop_run(tx, item.run_id)
            continue
        run, version = found[item.run_id]
        function = ctx.catalog.get(tx, run.function_id, version)
        jobs.append(Job(item, run, function, dict(memos.get(run.id, {}))))
    return jobs


def run_job(ctx: Context, job: Job) -> None:
    """Run a claimed item and, in place, what follows from it."""
    deadline = ctx.now() + ctx.tuning.carry_for
    lease_id = job.item.lease_id
    try:
        current: Job | None = job
        while current is not None:
            current = _once(ctx, current, carry=ctx.now() < deadline)
    finally:
        ctx.leases.drop(lease_id)


def _once(ctx: Context, job: Job, *, carry: bool) -> Job | None:
    """Run one item; return the run's next one when this worker holds it."""
    made, call = _wake(ctx, job) if job.item.kind is ItemKind.SLEEP else _request(ctx, job)
    try:
        done = _write(ctx, job, made, call, carry=carry)
    except Exception as error:
        # an answer that the database refuses would be asked for again and again, for ever
        observe.event("item.unwritable", level=40, item_id=job.item.id, error=type(error).__name__)
        made = plans.unwritable(job.item, _policy(ctx, job), ctx.jitter())
        done = _write(ctx, job, made, call, carry=False)
    if done is None:
        return None
    _tell(ctx, job, made, done)
    return None if done.next is None else _following(ctx, job, done, done.next)


def _write(ctx: Context, job: Job, made: Plan, call: Call, *, carry: bool) -> Applied | None:
    """Commit a plan; None when it is not ours to write any more, or cannot be for now.

    Raises what the database raised when it refuses the plan itself.
    """
    item = job.item
    try:
        return ctx.committer.run(
            job.run.id, lambda tx: apply(tx, ctx, job.run, item, made, call, carry=carry)
        )
    except LeaseLost:
        observe.event("item.lease_lost", level=30, item_id=item.id, run_id=job.run.id)
    except RunGone:
        observe.event("item.run_gone", item_id=item.id, run_id=job.run.id)
    except DBAPIError as error:
        if not (outage(error) or retriable(error)):
            raise
        # away for too long: the lease lapses and the item runs again
        name = type(error.orig).__name__
        observe.event("item.not_written", level=40, item_id=item.id, error=name)
    return None


def _policy(ctx: Context, job: Job) -> Policy:
    return Policy(job.function.config.retries, ctx.tuning.linear_retry)


def _wake(ctx: Context, job: Job) -> tuple[Plan, Call]:
    """End a sleep: its memo is null (execution.md §4.1)."""
    item = job.item
    name = item.step_name or item.step or "sleep"
    result = StepResult(item.step or "", name, "Sleep", "null", races=item.opts is not None)
    made = Plan(results=[result], traces=[Trace(item.step, name, "Sleep", "completed")])
    return made, Call(started_at=item.queued_at, ended_at=ctx.now())


def _request(ctx: Context, job: Job) -> tuple[Plan, Call]:
    """Call the SDK and decide what its answer means."""
    started_at = ctx.now()
    over = plans.overflow(job.run)
    if over is not None:
        return over, Call(started_at, started_at)
    policy = _policy(ctx, job)
    request_id = ctx.new_id(started_at)
    body = request.body(
        job.run, job.item, job.memo, max_attempts=policy.max_attempts, request_id=request_id
    )
    headers = request.headers(
        job.run,
        job.item,
        body,
        request_id=request_id,
        now_s=int(started_at.timestamp()),
        signing_key=ctx.tuning.signing_key,
    )
    reply = ctx.transport.send("POST", request.url(job.function.url, job.item), headers, body)
    ended_at = ctx.now()
    made = plans.plan(job.run, job.item, policy, reply, ended_at, ctx.jitter())
    return made, Call(started_at, ended_at, reply.status or None)


def _tell(ctx: Context, job: Job, made: Plan, done: Applied) -> None:
    """Send hints and signals, now that the transaction has committed."""
    if done.hints:
        ctx.hints.send(done.hints)
    done.started.tell(ctx)
    run = job.run
    for result in done.stored:
        observe.tell(
            observe.step_finished,
            run_id=run.id,
            function_id=run.function_id,
            step=result.hash,
            name=result.name,
            failed=result.failed,
        )
    if made.retry is not None:
        observe.tell(
            observe.attempt_failed,
            run_id=run.id,
            function_id=run.function_id,
            step=job.item.step,
            attempt=job.item.attempt,
            error=made.traces[-1].error if made.traces else None,
        )
    if done.finished is not None:
        status, output = done.finished
        observe.tell(
            observe.run_finished,
            run_id=run.id,
            function_id=run.function_id,
            status=status.value,
            output=output,
        )


def _following(ctx: Context, job: Job, done: Applied, item: Item) -> Job | None:
    """Build the next job from what is known, or read it when other branches wrote meanwhile."""
    if len(job.memo) + len(done.stored) != done.step_count:
        with ctx.db.reading() as tx:
            found = _load(tx, ctx, [item])
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
        state_bytes=job.run.state_bytes + sum(len(result.value) for result in done.stored),
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
        return queue.release(tx, ctx.worker_id, now)
