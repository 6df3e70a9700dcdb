"""Apply: write the plans that share a commit, each fenced by its lease.

Each kind of statement runs once for all plans. Order of locks: the runs' rows by id, then waits,
then items. Plans of one run are written one after another. Those that only store results share
one statement, since parallel steps often end together.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from ... import observe
from ...domain.errors import RunGone, WaitAnswered
from ...domain.reply.plans import FollowUp
from ...domain.runs.items import ItemKind, ItemState
from ...domain.steps import groups, task_groups
from ...domain.steps.task_groups import GroupCounts
from ...domain.values import canonical
from ...domain.values.ids import wait_id
from ...storage.events import waits
from ...storage.queue import queue_items
from ...storage.queue.queue_items import ItemRow
from ...storage.runs import attempts, runs, steps
from ..flow import concurrency
from ..intake.publish import Outbox
from ..intake.waits import open_all, prepare
from . import deferred_functions, metadata, revoking, rounds
from .end_run import drop_tasks, end_runs
from .revoking import Ending
from .writes import (
    Applied,
    PlanWrite,
    attempt_row,
    hint_at,
    item_row,
    lease_first,
    leased,
    waves,
)


def apply_all(tx: Connection, writes: Sequence[PlanWrite]) -> list[Applied]:
    """Write plans in one transaction.

    Raises LeaseLost or RunGone when one of them is void, WaitAnswered when a wait ended before its
    time-out, SignalTaken when another run waits for the same signal, Stalled when an app's answers
    make no progress; the transaction must then roll back.
    """
    if len(writes) > 1:
        runs.lock(tx, sorted({write.run.id for write in writes}))
    outbox = Outbox()
    for wave in waves(_bundles(writes), lambda bundle: bundle[0].run.id):
        _apply(tx, wave, outbox)
    writes[0].done.started = outbox.write(tx, writes[0].ctx)
    return [write.done for write in writes]


Bundle = list[PlanWrite]


def _bundles(writes: Sequence[PlanWrite]) -> list[Bundle]:
    """Group the writes of one run that one statement can store."""
    bundles: list[Bundle] = []
    for write in sorted(writes, key=lambda write: write.run.id):
        if bundles and _goes_with(bundles[-1], write):
            bundles[-1].append(write)
        else:
            bundles.append([write])
    return bundles


def _goes_with(bundle: Bundle, write: PlanWrite) -> bool:
    """Say whether the write and its bundle only store results, each of them once."""
    if write.run.id != bundle[0].run.id or not (write.plain and bundle[0].plain):
        return False
    known = {result.hash for other in bundle for result in other.plan.results}
    return not any(result.hash in known for result in write.plan.results)


def _apply(tx: Connection, bundles: Sequence[Bundle], outbox: Outbox) -> None:
    wave = [write for bundle in bundles for write in bundle]
    for write in wave:
        run = write.run
        write.done = Applied(
            step_count=run.step_count,
            request_version=run.request_version,
            force_plan=run.force_plan,
        )
        write.follow_ups = list(write.plan.follow_ups)
        write.gets_next = write.wants_next
    _advance(tx, [bundle for bundle in bundles if bundle[0].counts])
    for write in wave:
        if write.plan.notes:
            metadata.note(tx, write.call.ended_at, write.run.id, write.plan.notes)
    _close(tx, [write for write in wave if write.plan.closes])
    attempts.add(tx, [attempt_row(write, entry) for write in wave for entry in write.plan.timeline])
    for write in wave:
        if write.plan.revokes:
            revoking.revoke_attempt(tx, write.ctx, write.run, write.item)
        if write.plan.halts:
            outbox.lines |= drop_tasks(tx, write.ctx, write.run, write.item, write.call.ended_at)
    _finish(tx, [write for write in wave if write.plan.finish is not None], outbox)
    _follow(tx, [write for write in wave if write.plan.finish is None], outbox)


def _advance(tx: Connection, bundles: Sequence[Bundle]) -> None:
    """Store results and update the runs' groups; add the discoveries that follow, if any."""
    if not bundles:
        return
    rows = runs.advance(tx, [_counted(bundle) for bundle in bundles])
    if len(rows) < len(bundles):
        raise RunGone
    _store(tx, bundles, rows)
    for bundle in bundles:
        for write in bundle:
            if write.plan.defers:
                deferred_functions.store(tx, write.run.id, write.plan.defers)
    found = (_correction(tx, bundle, rows[bundle[0].run.id]) for bundle in bundles)
    if corrections := [correction for correction in found if correction is not None]:
        runs.correct(tx, corrections)


def _counted(bundle: Bundle) -> runs.Advance:
    run, plan = bundle[0].run, bundle[0].plan
    results = [result for write in bundle for result in write.plan.results]
    group: tuple[bool, str | None] | None = None
    if plan.group is not None and not run.force_plan:  # otherwise others may be pending: _pending()
        group = (True, groups.written(_members(bundle[0])))
    version = max(write.plan.request_version for write in bundle)
    size = sum(result.size for result in results)
    return runs.Advance(run.id, len(results), size, version, group)


def _members(write: PlanWrite) -> groups.Members:
    """Give the members of the plan's group that the run waits for."""
    run, plan = write.run, write.plan
    effective = run.request_version if run.request_version >= 0 else plan.request_version
    return plan.group or {} if plan.coalesce and effective >= 2 else {}


def _store(tx: Connection, bundles: Sequence[Bundle], rows: dict[str, runs.Advanced]) -> None:
    given = []
    for bundle in bundles:
        results = [(write, result) for write in bundle for result in write.plan.results]
        first = rows[bundle[0].run.id].step_count - len(results)
        given += [
            {
                "run_id": write.run.id,
                "hash": result.hash,
                "position": first + place,
                "name": result.name,
                "op": result.op,
                "output": result.value,
                "stored_at": write.call.ended_at,
            }
            for place, (write, result) in enumerate(results)
        ]
    new = steps.add(tx, given)
    for bundle in bundles:
        for write in bundle:
            run_id, plan = write.run.id, write.plan
            write.done.stored = [one for one in plan.results if (run_id, one.hash) in new]


def _correction(tx: Connection, bundle: Bundle, row: runs.Advanced) -> runs.Correction | None:
    """Update the run's group by the results; return a correction if its row must change again."""
    pending = _pending(tx, bundle[0], row.pending)
    force_plan = row.force_plan or bundle[0].plan.group is not None
    lost = []
    for write in bundle:
        lost += [result for result in write.plan.results if result not in write.done.stored]
        pending, force_plan = _update_group(write, row, pending, force_plan)
    run_id = bundle[0].run.id
    for result in lost:
        observe.event("step.stored_before", level=30, run_id=run_id, step=result.hash)
    for write in bundle:
        write.done.step_count = row.step_count - len(lost)
    left = groups.written(pending)
    if not lost and left == row.pending and force_plan == row.force_plan:
        return None
    fewer_bytes = sum(result.size for result in lost)
    return runs.Correction(run_id, force_plan, left, len(lost), fewer_bytes)


def _pending(tx: Connection, write: PlanWrite, stored: str | None) -> groups.Members:
    """Read the pending set without members of a new group that ended while it was reported."""
    pending = groups.read(stored)
    if write.plan.group is not None and write.run.force_plan:
        pending = groups.renewed(pending, _members(write))
    if pending and write.plan.group is not None and write.run.step_count:
        known = steps.known(tx, write.run.id, list(pending))
        pending = {step: races for step, races in pending.items() if step not in known}
    return pending


def _update_group(
    write: PlanWrite, row: runs.Advanced, pending: groups.Members, force_plan: bool
) -> tuple[groups.Members, bool]:
    """Update the group by one write; return what is pending after it, and the force-plan flag."""
    plan, done = write.plan, write.done
    if plan.tasks is not None:
        return _count_tasks(write, row, pending, plan.tasks), force_plan
    group = groups.after_results(
        _without_own(write, pending),
        [(result.hash, result.races) for result in plan.results],
        force_plan=force_plan,
        request_version=row.request_version,
    )
    discover = group.discover and plan.retry is None
    done.force_plan = group.force_plan if discover else force_plan
    done.may_continue, done.request_version = not row.held, row.request_version
    if discover and plan.finish is None:
        key = f"{write.run.id}-{plan.results[-1].hash}-discovery"
        write.follow_ups.append(FollowUp(ItemKind.EDGE, key))
    return group.pending, done.force_plan


def _count_tasks(
    write: PlanWrite, row: runs.Advanced, pending: groups.Members, change: GroupCounts
) -> dict[str, int]:
    """Count the tasks of groups by one write; the last of a group calls for what follows it."""
    done = write.done
    done.may_continue, done.request_version = not row.held, row.request_version
    if len(done.stored) < len(write.plan.results):  # its result was stored, and counted, before
        change = replace(change, joins=None)
    if task_groups.failing(pending) and not change.of_errback:
        raise RunGone  # a task has failed for good: nothing follows from the others any more
    left, ended = task_groups.after({} if write.plan.halts else pending, change)
    if ended is not None and write.plan.finish is None:
        opts = canonical.dumps({"joined": ended}).decode()
        write.follow_ups.append(
            FollowUp(ItemKind.EDGE, f"{write.run.id}-{ended}-joined", opts=opts)
        )
    return left


def _without_own(write: PlanWrite, pending: groups.Members) -> groups.Members:
    """Remove the item's own step if its request ended without a result and is not retried.

    The app answered with other steps; the group would wait for this one for ever.
    """
    own, plan = write.item.step, write.plan
    if own not in pending or plan.retry is not None:
        return pending
    if own in {one.step for one in plan.follow_ups}:
        return pending
    return {step: races for step, races in pending.items() if step != own}


def _close(tx: Connection, wave: Sequence[PlanWrite]) -> None:
    """Close waits that time out. Raises WaitAnswered when one has ended already."""
    if not wave:
        return
    wanted = [wait_id(write.run.id, write.item.step or "") for write in wave]
    if len(waits.consume(tx, wanted)) < len(wave):
        raise WaitAnswered


def _finish(tx: Connection, wave: Sequence[PlanWrite], outbox: Outbox) -> None:
    if not wave:
        return
    endings = []
    for write in wave:
        finish, call = write.plan.finish, write.call
        assert finish is not None
        times = call.ended_at, call.started_at
        over = Ending(write.run, finish.status, finish.output, *times, error_text=finish.error_text)
        endings.append(over)
        write.done.finished = (finish.status, finish.output)
    ended, published = end_runs(tx, wave[0].ctx, endings, [write.item for write in wave])
    if len(ended) < len(wave):
        raise RunGone
    outbox.join(published)


def _follow(tx: Connection, wave: Sequence[PlanWrite], outbox: Outbox) -> None:
    """Consume the items, or give them back to be retried, and queue what follows."""
    if not wave:
        return
    reused, finished, rows = [], [], []
    _yield_slots(tx, [write for write in wave if write.run.slots is not None])
    for write in wave:
        if write.plan.retry is not None:
            due_at = write.call.ended_at + write.plan.retry
            again_at = hint_at(write, write.item.kind, write.item.id, due_at)
            queue_items.retry_later(tx, write.item, due_at, again_at)
        elif _reuses_item(write):
            reused.append(write)
            continue
        else:
            finished.append(write)
        rows += [(write, follow_up, row) for follow_up, row in _item_rows(tx, write)]
        outbox.lines |= concurrency.lines_of(write.run)
    reuses = [
        (write.item, write.follow_ups[0].key, write.done.step_count, write.call.ended_at)
        for write in reused
    ]
    for write, item in zip(reused, queue_items.continue_in_place(tx, reuses), strict=True):
        write.done.next = item
    if finished:
        queue_items.finish(tx, [write.item for write in finished])
    _queue(tx, rows, outbox)


def _yield_slots(tx: Connection, limited: Sequence[PlanWrite]) -> None:
    """Continue a run in place only if no item that is ahead of it waits for its slots."""
    stay = [write for write in limited if write.gets_next]
    if stay:
        free = concurrency.may_continue(tx, [(write.run, write.item) for write in stay])
        for write in stay:
            write.gets_next = write.run.id in free


def _reuses_item(write: PlanWrite) -> bool:
    """Say whether the item itself can become the run's next one.

    It can if only a discovery follows and all results are new: then nobody else can have queued
    that follow-up.
    """
    follow_ups, done = write.follow_ups, write.done
    return (
        write.gets_next
        and done.may_continue
        and len(follow_ups) == 1
        and follow_ups[0].kind is ItemKind.EDGE
        and follow_ups[0].step is None
        and follow_ups[0].opts is None
        and not follow_ups[0].delay
        and bool(done.stored)
        and len(done.stored) == len(write.plan.results)
    )


def _item_rows(tx: Connection, write: PlanWrite) -> list[tuple[FollowUp, ItemRow]]:
    """Build the follow-up items; lease the first that is due now if this worker continues."""
    known = _already_stored(tx, write)
    new = [one for one in write.follow_ups if one.step is None or one.step not in known]
    rows = [(one, item_row(write, one)) for one in rounds.follow_ups(tx, write, new)]
    if not rows:
        return []
    if write.gets_next and write.done.may_continue and write.plan.retry is None:
        lease_first(write, [row for _, row in rows])
    for follow_up, row in rows:
        if row["state"] == ItemState.READY.value:
            concurrency.join_line(row, write.run.slots, write.call.ended_at)
            if follow_up.delay and row["state"] == ItemState.READY.value:
                row["hint_at"] = hint_at(write, follow_up.kind, row["id"], row["due_at"])
    return rows


def _already_stored(tx: Connection, write: PlanWrite) -> set[str]:
    """Find planned steps whose results came in after the request was written.

    Version-1 SDKs report unfinished siblings again with every discovery (execution.md §6.3).
    """
    if write.plan.tasks is not None:
        return set()
    targets = [one.step for one in write.follow_ups if one.step is not None]
    return steps.known(tx, write.run.id, targets) if targets and write.done.step_count else set()


def _queue(
    tx: Connection, rows: Sequence[tuple[PlanWrite, FollowUp, ItemRow]], outbox: Outbox
) -> None:
    if not rows:
        return
    openings = [
        (write, prepare(write.ctx, write.run, follow_up.wait, row))
        for write, follow_up, row in rows
        if follow_up.wait is not None
    ]
    written = queue_items.add(tx, [row for _, _, row in rows])
    opened = [one for _, one in openings if one.row["id"] in written]
    if opened:
        outbox.events += open_all(tx, openings[0][0].ctx, opened)
    for write, _, row in rows:
        if row["id"] not in written or row["due_at"] > write.call.ended_at:
            continue
        if row["state"] == ItemState.WAITING.value:
            continue  # it gets a hint when it is let in
        if row["state"] == ItemState.LEASED.value:
            write.done.next = leased(row, write.item.lease_id)
        else:
            write.done.hints.append((ItemKind(row["kind"]), row["id"]))
