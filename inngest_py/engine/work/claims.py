"""Claims: leasing items that are due, with what they need to run.

Claims that arrive together share one transaction, as all commits do. When a burst fills the
worker, every run that ends frees a slot for one more item. A transaction for each of those took
as much CPU as all writes of a five-step run.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from ... import observe
from ...domain.errors import Unreadable
from ...domain.runs.items import OF_RULES, RUNLESS, Item, ItemKind
from ...domain.runs.runs import RunStatus
from ...storage.db.outages import logged, outage
from ...storage.db.session import commit_soon
from ...storage.db.sqlite_writer import at_end, savepoint
from ...storage.queue import (
    claiming,
    concurrency_slots,
    leases,
    load_runs,
    of_ended_runs,
    queue_items,
)
from ...storage.queue.load_runs import Loaded
from ...storage.runs import runs, steps
from ..flow import concurrency, recheck_slots, recheck_throttle, throttles
from ..flow.run_timeouts import finish_timers
from ..intake.resume_waits_paged import Fanout
from ..intake.waits import read_wait_ends
from ..runtime.app_fairness import CONNECTED, LINE_PREFIX, place_of
from ..runtime.context import Context, Hint
from ..runtime.jobs import Job
from . import orphaned_calls
from .cancel_on_event import CancelItem
from .flow_timers import Timer

# How long an item is put off that cannot be claimed.
_PUT_OFF = timedelta(minutes=1)
# Items that belong to no run.
_OTHERS: dict[ItemKind, type[Fanout | CancelItem | Timer]] = {
    ItemKind.EVENT: Fanout,
    ItemKind.CANCEL: CancelItem,
    **dict.fromkeys(OF_RULES, Timer),
}
# Items whose work is a request to the app.
_ASKING = frozenset({ItemKind.START, ItemKind.EDGE})
Claimed = Job | Fanout | CancelItem | Timer
# How long until upkeep hints again at an item that this version cannot run.
_FOR_OTHERS = timedelta(seconds=30)


class ClaimRequest(NamedTuple):
    """The items that one caller wants."""

    ctx: Context
    item_ids: Sequence[str]


class ClaimResult(NamedTuple):
    """The jobs that one caller gets, and hints for other items that were let in instead.

    `lined` are the connected apps whose waiting lines have got items.
    """

    jobs: list[Claimed]
    hints: list[Hint]
    lined: list[str]


def claim(ctx: Context, item_ids: Sequence[str]) -> list[Claimed]:
    """Lease the items that are ready and load what they need, in one transaction.

    Start items that their throttle has no room for join its waiting line instead.

    Raises SQLAlchemyError when the database is away for long; the edge retries that.
    """
    key = min(item_ids, default="")
    try:
        claimed = ctx.committer.run(key, claim_all, ClaimRequest(ctx, item_ids))
    except Exception as error:
        if outage(error) or not item_ids:
            raise
        return _apart(ctx, item_ids, error)
    jobs, hints, lined = claimed
    if hints:
        ctx.hints.send(hints)
    if lined:
        ctx.connections.tell(lined)
    _hold(ctx, jobs)
    return jobs


def _hold(ctx: Context, jobs: Sequence[Claimed]) -> None:
    """Keep the leases of what was claimed, and send the signals; call after the commit."""
    for job in jobs:
        ctx.leases.hold(job.item)
        if not isinstance(job, Job):
            continue
        ctx.fairness.hold(job.item.lease_id, place_of(job.function))
        if job.item.kind is ItemKind.START and job.item.attempt == 0:
            observe.send(observe.run_started, run_id=job.run.id, function_id=job.run.function_id)


def _apart(ctx: Context, item_ids: Sequence[str], error: Exception) -> list[Claimed]:
    """Claim items one by one that failed together; put off an item that fails alone."""
    if len(item_ids) > 1:  # log it: each may succeed alone, and hide the error
        observe.event("claim.apart", level=30, items=len(item_ids), **logged(error))
        return [job for item_id in item_ids for job in claim(ctx, [item_id])]
    observe.event("item.failed", level=40, item_id=item_ids[0], **logged(error))
    later = ctx.now() + _PUT_OFF
    ctx.committer.run_alone(lambda tx: leases.delay(tx, item_ids, later))
    return []


def claim_all(tx: Connection, wanted: Sequence[ClaimRequest]) -> list[ClaimResult]:
    """Claim for all callers of a commit; an item that two of them name goes to the first."""
    ids = dict.fromkeys(item_id for one in wanted for item_id in one.item_ids)
    jobs, hints, lined = _claim_items(tx, wanted[0].ctx, list(ids))
    if len(wanted) == 1:
        return [ClaimResult(jobs, hints, lined)]
    left = {job.item.id: job for job in jobs}
    taken = []
    for one in wanted:
        mine = [left.pop(item_id) for item_id in one.item_ids if item_id in left]
        taken.append(ClaimResult(mine, hints, lined))
        hints, lined = [], []
    return taken


def claim_stored(
    tx: Connection, ctx: Context, hints: Sequence[Hint], begin: Callable[[Sequence[Claimed]], None]
) -> list[Hint]:
    """Claim the items of hints in the transaction that stores them, after its other writes.

    `begin` gets the jobs when it is committed; nothing, if it fails or they could not be claimed.
    It must not wait. Returns the hints that are still to be sent. SQLite only: elsewhere the
    claim's locks would come after those of other writes.
    """
    found: list[ClaimResult] = []

    def end(committed: bool) -> None:
        jobs = found[0].jobs if committed and found else []
        _hold(ctx, jobs)
        begin(jobs)

    at_end(tx, end)
    try:
        with savepoint(tx):  # an error undoes the claim alone
            found.append(_claim_items(tx, ctx, [item_id for _, item_id in hints]))
    except Exception as error:
        if outage(error):
            raise
        observe.event("claim.apart", level=30, items=len(hints), **logged(error))
        return list(hints)
    return found[0].hints


def _claim_items(tx: Connection, ctx: Context, item_ids: Sequence[str]) -> ClaimResult:
    """Lease the items and load their jobs; the hints are for items that were let in instead."""
    now = ctx.now()
    claimed = claiming.claim(
        tx,
        item_ids,
        lease_id=ctx.new_id(now),
        now=now,
        lease=ctx.tuning.lease,
        worker=ctx.worker_id,
    )
    if not claimed.items:  # duplicate, early or late hints: nothing to do
        return ClaimResult([], [], [])
    items, hints = throttles.pass_through(tx, ctx, claimed.items, now)
    live, over = orphaned_calls.drop_ended(tx, ctx, _jobs(tx, ctx, items, claimed.runs), now)
    admitted, changed, let_in = recheck_throttle.recheck_throttles(
        tx, ctx, _without_paused(tx, live), now
    )
    loaded, lined = _with_fair_room(tx, ctx, admitted)
    locked = recheck_slots.regroup(tx, loaded, now)
    ready = [job for job in loaded if job not in locked]
    aside = [job for job in live if job not in ready]
    mine, also_in = concurrency.admit(tx, ctx, ready, now, aside)
    begun = _begin(tx, ctx, mine, claimed.begun, now)
    runs.undo_begin(tx, sorted(claimed.begun.difference(job.run.id for job in begun)))
    _give_up(tx, [*changed, *locked, *(job for job in mine if job not in begun)], now)
    others = [_OTHERS[item.kind](item) for item in items if item.kind in _OTHERS]
    if _may_be_lost(begun, claimed.items):
        commit_soon(tx)
    return ClaimResult([*begun, *others], [*hints, *over, *let_in, *also_in], lined)


def _may_be_lost(begun: Sequence[Job], items: Sequence[Item]) -> bool:
    """Say whether a crash of the database may undo the claim.

    The items are then claimed again: as after a lapsed lease, their requests are repeated and the
    first answers are refused. But a request that counts against a limit must stay counted, since
    the app still works on it.
    """
    free = (job.run.slots is None and job.item.gate is None for job in begun)
    return len(begun) == len(items) and all(free)


def _without_paused(tx: Connection, jobs: list[Job]) -> list[Job]:
    """Set the items of paused functions aside; return the other jobs."""
    paused = [job.item for job in jobs if job.run.paused]
    if not paused:
        return jobs
    leases.mark_held(tx, paused)
    return [job for job in jobs if not job.run.paused]


def _with_fair_room(tx: Connection, ctx: Context, jobs: list[Job]) -> tuple[list[Job], list[str]]:
    """Let jobs wait whose app has used up its part of this process's slots; return the others.

    Also returns the connected apps whose waiting lines have got items.
    """
    if not jobs:
        return jobs, []
    hosts = [place_of(job.function) for job in jobs]
    fits = ctx.fairness.admit(jobs[0].item.lease_id, hosts)
    if all(fits):
        return jobs, []
    # the end of a sleep needs no worker
    fits = [
        fit or (host.startswith(CONNECTED) and job.item.kind not in _ASKING)
        for job, host, fit in zip(jobs, hosts, fits, strict=True)
    ]
    waiting = {
        job.item.id: LINE_PREFIX + host
        for job, host, fit in zip(jobs, hosts, fits, strict=True)
        if not fit
    }
    concurrency_slots.wait(tx, waiting)
    lined = {host for host, fit in zip(hosts, fits, strict=True) if not fit}
    apps = [host.removeprefix(CONNECTED) for host in lined if host.startswith(CONNECTED)]
    return [job for job in jobs if job.item.id not in waiting], apps


def _begin(
    tx: Connection, ctx: Context, jobs: list[Job], begun: set[str], now: datetime
) -> list[Job]:
    """Set runs to running whose first request goes out now; leave out those that others lock.

    Runs in `begun` are running already.
    """
    starting = [job for job in jobs if job.item.kind is ItemKind.START]
    if not starting:
        return jobs
    queued = [job.run.id for job in starting if job.run.status is RunStatus.QUEUED]
    waiting = [run_id for run_id in queued if run_id not in begun]
    left = set(waiting).difference(runs.begin(tx, waiting, now) if waiting else ())
    starting = [job for job in starting if job.run.id not in left]
    for job in starting:
        started_at = job.run.started_at or now
        job.run = replace(job.run, status=RunStatus.RUNNING, started_at=started_at)
    queue_items.put(tx, finish_timers(ctx, [(job.run, job.function) for job in starting], now))
    return [job for job in jobs if job.run.id not in left]


def _give_up(tx: Connection, jobs: Sequence[Job], now: datetime) -> None:
    """Give back items whose runs are being ended or paused: the lock of the run's row decides."""
    if jobs:
        leases.give_back(tx, [job.item for job in jobs], now)


def load(tx: Connection, ctx: Context, items: Sequence[Item]) -> list[Job]:
    """Read what the leased items of runs need; items whose runs are gone are dropped."""
    found = load_runs.load(tx, sorted({item.run_id for item in items}))
    return _jobs(tx, ctx, items, found)


def _jobs(tx: Connection, ctx: Context, items: Sequence[Item], found: Loaded) -> list[Job]:
    items = [item for item in items if item.kind not in RUNLESS]
    if not items:
        return []
    # a task is called with what its item holds
    wanted = {item.run_id for item in items if item.kind is not ItemKind.TASK}
    with_steps = [
        run_id for run_id, (run, _) in found.items() if run.step_count and run_id in wanted
    ]
    memos = steps.memo(tx, with_steps) if with_steps else {}
    answered = read_wait_ends(tx, [(item.id, item.answer) for item in items])
    jobs = []
    for item in items:
        if item.run_id not in found:
            observe.event("item.orphan", level=30, item_id=item.id, run_id=item.run_id)
            of_ended_runs.drop_runs(tx, [item.run_id], [item])
            continue
        run, revision = found[item.run_id]
        try:
            function = ctx.catalog.get(tx, run.function_id, revision)
        except Unreadable as error:  # of a newer version, whose workers will run the item
            leases.give_back(tx, [item], ctx.now() + _FOR_OTHERS)
            observe.event("function.unreadable", level=40, exc_info=error, run_id=run.id)
            continue
        if run.function_id in ctx.run_limits:
            run = replace(run, limits=ctx.run_limits[run.function_id])
        memo = dict(memos.get(run.id, {}))
        jobs.append(Job(item, run, function, memo, answered.get(item.id)))
    return jobs
