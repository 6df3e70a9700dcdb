"""Apply: the one way a run moves. Writes a plan, fenced by the item's lease.

Order of locks: the run's row, then its items. Writers of one run so settle one after another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from .. import observe
from ..domain import canonical
from ..domain.errors import RunGone
from ..domain.items import Item, ItemKind, ItemState
from ..domain.plan import Job, Plan, StepResult, settle
from ..domain.runs import Run, RunStatus
from ..storage import attempts, queue, runs, steps
from .context import Context, Hint
from .ending import end_run
from .start import HINT_GRACE, Started


@dataclass(frozen=True, slots=True)
class Call:
    """The request whose answer the plan is of; `http_status` is None when none came."""

    started_at: datetime
    ended_at: datetime
    http_status: int | None = None


@dataclass(slots=True)
class Applied:
    """What was written. `next` is the run's following item, leased to this worker already."""

    next: Item | None = None
    hints: list[Hint] = field(default_factory=list)
    stored: list[StepResult] = field(default_factory=list)
    step_count: int = 0
    request_version: int = -1
    force_plan: bool = False
    started: Started = field(default_factory=Started)
    finished: tuple[RunStatus, str | None] | None = None


def apply(
    tx: Connection, ctx: Context, run: Run, item: Item, plan: Plan, call: Call, *, carry: bool
) -> Applied:
    """Write a plan and consume its item; with `carry`, keep the run's next item leased.

    Raises LeaseLost or RunGone, with which the caller's transaction must roll back.
    """
    done = Applied(
        step_count=run.step_count,
        request_version=run.request_version,
        force_plan=run.force_plan,
    )
    jobs: list[Job] = list(plan.jobs)
    if plan.results or plan.group is not None or plan.request_version >= 0:
        jobs += _advance(tx, run, item, plan, done, call.ended_at)
    attempts.add(tx, [_attempt_row(run, item, trace, call) for trace in plan.traces])
    if plan.finish is not None:
        _finish(tx, ctx, run, item, plan, call, done)
        return done
    if plan.retry is not None:
        queue.retry_later(tx, item, call.ended_at + plan.retry)
    else:
        queue.finish(tx, item)
    _queue(tx, ctx, run, item, jobs, done, call.ended_at, carry=carry and plan.retry is None)
    return done


def _advance(
    tx: Connection, run: Run, item: Item, plan: Plan, done: Applied, now: datetime
) -> list[Job]:
    """Store results and settle the run's group; return the discovery that follows, if any."""
    size = sum(len(result.value) for result in plan.results)
    version = plan.request_version
    effective = run.request_version if run.request_version >= 0 else version
    group: tuple[bool, str | None] | None = None
    if plan.group is not None:
        open_group = plan.group if plan.coalesce and effective >= 2 else []
        group = (True, canonical.dumps(open_group).decode() if open_group else None)
    row = runs.advance(tx, run.id, steps=len(plan.results), size=size, version=version, group=group)
    if row is None:
        raise RunGone
    done.stored = _store(tx, run, plan.results, row.step_count - len(plan.results), now)
    pending = _pending(tx, run, plan, row.pending)
    settled = settle(
        pending,
        [(result.hash, result.races) for result in plan.results],
        force_plan=row.force_plan,
        request_version=row.request_version,
    )
    lost = [result for result in plan.results if result not in done.stored]
    left = canonical.dumps(list(settled.pending)).decode() if settled.pending else None
    discover = (settled.discover or _nothing_left(plan, settled.pending)) and plan.retry is None
    force_plan = settled.force_plan if discover else row.force_plan
    if lost or left != row.pending or force_plan != row.force_plan:
        runs.settle(
            tx,
            run.id,
            force_plan=force_plan,
            pending=left,
            fewer_steps=len(lost),
            fewer_bytes=sum(len(result.value) for result in lost),
        )
    done.step_count = row.step_count - len(lost)
    done.request_version, done.force_plan = row.request_version, force_plan
    if not discover or plan.finish is not None:
        return []
    cause = plan.results[-1].hash if plan.results else f"{item.id}-group"
    return [Job(ItemKind.EDGE, f"{run.id}-{cause}-discovery")]


def _pending(tx: Connection, run: Run, plan: Plan, stored: str | None) -> list[str]:
    """Read the pending set, less members of a new group that ended while it was reported."""
    if stored is None:
        return []
    pending: list[str] = canonical.loads(stored)
    if plan.group is not None and run.step_count:
        known = steps.known(tx, run.id, pending)
        pending = [step for step in pending if step not in known]
    return pending


def _nothing_left(plan: Plan, pending: Sequence[str]) -> bool:
    """Say whether a coalesced group had ended before it was written down: nobody would go on."""
    return plan.coalesce and not pending and not plan.jobs


def _store(
    tx: Connection, run: Run, results: list[StepResult], position: int, now: datetime
) -> list[StepResult]:
    if not results:
        return []
    rows = [
        {
            "run_id": run.id,
            "hash": result.hash,
            "position": position + index,
            "name": result.name,
            "op": result.op,
            "output": result.value,
            "stored_at": now,
        }
        for index, result in enumerate(results)
    ]
    new = steps.add(tx, rows)
    for result in results:
        if result.hash not in new:
            observe.event("step.stored_before", level=30, run_id=run.id, step=result.hash)
    return [result for result in results if result.hash in new]


def _finish(
    tx: Connection, ctx: Context, run: Run, item: Item, plan: Plan, call: Call, done: Applied
) -> None:
    assert plan.finish is not None
    status, output = plan.finish.status, plan.finish.output
    if not runs.end(tx, run.id, status, output, call.ended_at, call.started_at):
        raise RunGone
    queue.finish(tx, item)
    done.started = end_run(tx, ctx, run, status, output, call.ended_at)
    done.finished = (status, output)


def _queue(
    tx: Connection,
    ctx: Context,
    run: Run,
    item: Item,
    jobs: list[Job],
    done: Applied,
    now: datetime,
    *,
    carry: bool,
) -> None:
    """Write the follow-up items; the first that is due now is leased to this worker on `carry`."""
    if not jobs:
        return
    known = _already_stored(tx, run, jobs, done)
    rows = []
    for job in jobs:
        if job.step is not None and job.step in known:
            continue
        rows.append(_item_row(ctx, run, job, now, done.step_count))
    if carry:
        _lease_first(ctx, item, rows, now)
    written = queue.add(tx, rows)
    for row in rows:
        if row["id"] not in written or row["due_at"] > now:
            continue
        if row["state"] == ItemState.LEASED.value:
            done.next = _leased(row)
        else:
            done.hints.append((ItemKind(row["kind"]), row["id"]))


def _already_stored(tx: Connection, run: Run, jobs: list[Job], done: Applied) -> set[str]:
    """Find planned steps whose results came in since the SDK was told what is stored.

    Version-1 SDKs report unfinished siblings again with every discovery (execution.md §6.3).
    """
    targets = [job.step for job in jobs if job.step is not None]
    return steps.known(tx, run.id, targets) if targets and done.step_count else set()


def _item_row(ctx: Context, run: Run, job: Job, now: datetime, step_count: int) -> dict[str, Any]:
    due_at = now + job.delay
    return {
        "id": ctx.new_id(now),
        "kind": job.kind.value,
        "run_id": run.id,
        "job_key": job.key,
        "state": ItemState.READY.value,
        "queued_at": now,
        "due_at": due_at,
        "hint_at": due_at if job.delay > timedelta(0) else now + HINT_GRACE,
        "attempt": 0,
        "step": job.step,
        "step_name": job.step_name,
        "current": step_count if job.step is None else None,
        "opts": job.opts,
        "lease_id": None,
        "lease_until": None,
        "worker": None,
    }


def _lease_first(ctx: Context, item: Item, rows: list[dict[str, Any]], now: datetime) -> None:
    for row in rows:
        if row["due_at"] <= now:
            row["state"] = ItemState.LEASED.value
            row["lease_id"] = item.lease_id
            row["lease_until"] = now + ctx.tuning.lease
            row["worker"] = ctx.worker_id
            return


def _leased(row: dict[str, Any]) -> Item:
    return Item(
        id=row["id"],
        kind=ItemKind(row["kind"]),
        run_id=row["run_id"],
        lease_id=row["lease_id"],
        attempt=0,
        queued_at=row["queued_at"],
        due_at=row["due_at"],
        step=row["step"],
        step_name=row["step_name"],
        current=row["current"],
        opts=row["opts"],
    )


def _attempt_row(run: Run, item: Item, trace: Any, call: Call) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "step": trace.step,
        "name": trace.name,
        "op": trace.op,
        "attempt": item.attempt,
        "status": trace.status,
        "queued_at": item.queued_at,
        "started_at": call.started_at,
        "ended_at": call.ended_at,
        "http_status": call.http_status,
        "error": trace.error,
    }
