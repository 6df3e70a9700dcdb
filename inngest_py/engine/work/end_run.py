"""Ending runs: what follows from a terminal status, in the transaction that sets it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from ... import observe
from ...domain.errors import NotFound
from ...domain.events import user_events
from ...domain.events.event_record import Event
from ...domain.reply.plans import TimelineEntry
from ...domain.reply.timeouts import cancellation_entry
from ...domain.reply.wait_end import sleep_entry
from ...domain.reports.roll_ups import LONGEST_HELD
from ...domain.runs.items import Item, ItemKind
from ...domain.runs.runs import ENDED, Run, RunStatus
from ...domain.steps import tasks
from ...domain.steps.opcodes import Opcode
from ...domain.values.json_types import JsonObject
from ...storage.db.row_types import Record, RowValues
from ...storage.events import waits
from ...storage.queue import load_runs, of_ended_runs
from ...storage.runs import attempts, failed_runs, runs
from ..flow import concurrency
from ..flow.concurrency import Lines
from ..intake.publish import Outbox
from ..intake.started import Started
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.context import Context
from . import deferred_functions, revoking
from .revoking import Ending

_SILENT = frozenset({"inngest/function.finished", "inngest/function.failed"})


def end_runs(
    tx: Connection, ctx: Context, endings: Sequence[Ending], held: Sequence[Item] = ()
) -> tuple[set[str], Outbox]:
    """End runs, each given once: set their status and drop their queued items.

    Returns the runs whose status allowed it, and what the same transaction has to publish about
    them; the others stay as they are. An end that an outage has held back gets the present time.
    Raises LeaseLost when one of the `held` items has lost its lease.
    """
    endings = _at_present(ctx.now(), endings)
    ended = runs.end(
        tx, [runs.End(e.run.id, e.status, e.output, e.at, e.started_at) for e in endings]
    )
    if not ended:
        return set(), Outbox()
    over = [ending for ending in endings if ending.run.id in ended]
    dropped = _drop(tx, ended, {ending.run.id: ending.at for ending in over}, held)
    revoking.revoke_of_ended(tx, ctx, over, dropped.leased)
    failed = [(one.run.id, one.at) for one in over if one.status is RunStatus.FAILED]
    if failed:
        failed_runs.add(tx, failed)
        ctx.failed_runs.note()
    published = [event for ending in over for event in _published(ctx, ending)]
    defers = [(e.run, e.at) for e in over if ended[e.run.id].defers]
    published += deferred_functions.start_events(tx, ctx, defers)
    releases = [(e.run.singleton_key, e.run.id) for e in over if e.run.singleton_key]
    lines: Lines = {}
    for ending in over:
        lines |= concurrency.lines_of(ending.run, ended=True)
        lines |= dict.fromkeys(dropped.freed.get(ending.run.id, ()), ending.run.function_id)
    return set(ended), Outbox(published, releases, lines)


def _at_present(now: datetime, endings: Sequence[Ending]) -> Sequence[Ending]:
    """Let ends that were held back bear the present time.

    Whoever reads ends by their time (roll-ups, alerts, lists) has gone past their own already.
    """
    latest = now - LONGEST_HELD
    if all(one.at >= latest for one in endings):
        return endings
    return [one if one.at >= latest else replace(one, at=now) for one in endings]


def _drop(
    tx: Connection,
    ended: dict[str, runs.Left],
    ended_at: dict[str, datetime],
    held: Sequence[Item],
) -> of_ended_runs.Dropped:
    """Delete the waits and the queued items of runs, in the order of locks.

    The timelines show unfinished steps as cancelled.
    """
    seen = sorted(run_id for run_id, left in ended.items() if left.waits)
    waits.drop_runs(tx, seen)
    dropped = of_ended_runs.drop_runs(tx, sorted(ended), held)
    # the statement that ended the run may have waited for a commit that opened these unseen
    waits.drop_runs(tx, sorted(dropped.waited.difference(seen)))
    attempts.add(tx, [cut_off(row, ended_at[row.run_id]) for row in dropped.cut])
    return dropped


def drop_tasks(tx: Connection, ctx: Context, run: Run, failed: Item, now: datetime) -> Lines:
    """Drop what a run has queued beside the task that has failed for good; it goes on.

    Tasks that hold slots stay until their answers come, as at a run's end.
    """
    dropped = of_ended_runs.drop_tasks(tx, run.id, failed)
    attempts.add(tx, [cut_off(row, now) for row in dropped.cut])
    ending = Ending(run, RunStatus.FAILED, None, now)
    revoking.revoke_of_ended(tx, ctx, [ending], dropped.leased, but=failed)
    return dict.fromkeys(dropped.freed.get(run.id, ()), run.function_id)


def cut_off(row: Item | Record, now: datetime) -> RowValues:
    """Make the row of an attempt that the end of its run cut off, from its queued item."""
    if row.kind == ItemKind.SLEEP.value:
        shown, started_at = sleep_entry(row, "cancelled"), row.queued_at
    else:
        sent = row.kind == ItemKind.TASK.value and row.lease_id is not None
        op = tasks.OP if sent else Opcode.STEP_PLANNED.value
        info = tasks.info(row.id, row.attempt) if sent else None
        shown = TimelineEntry(row.step, row.step_name or "", op, "cancelled", info=info)
        started_at = min(max(row.queued_at, row.due_at), now)
    return attempts.new_row(
        row.run_id,
        shown,
        attempt=row.attempt,
        queued_at=row.queued_at,
        started_at=started_at,
        ended_at=now,
    )


def _published(ctx: Context, ending: Ending) -> list[Event]:
    """Build the events of a run's end (events.md §8.1, §8.2).

    A run that such an event started publishes none: a handler could start itself for ever. An
    invoked run always publishes: its invoker waits for it.
    """
    run = ending.run
    if run.event_name in _SILENT and run.correlation_id is None:
        return []
    return user_events.ended(
        run_id=run.id,
        function_slug=run.function_slug,
        status=ending.status.value,
        event=run.event,
        events=run.events,
        output=ending.output,
        error_text=ending.error_text,
        correlation_id=run.correlation_id,
        finished_id=ctx.new_id(ending.at),
        now_ms=int(ending.at.timestamp() * 1000),
    )


def note_cancelled(
    tx: Connection, cancelled: Sequence[Run], shown: TimelineEntry, now: datetime
) -> None:
    """Show in the timelines of runs why they were cancelled."""
    rows = [
        attempts.new_row(run.id, shown, queued_at=now, started_at=now, ended_at=now)
        for run in cancelled
    ]
    attempts.add(tx, rows)


def end_at_once(
    tx: Connection,
    ctx: Context,
    run: Run,
    shown: TimelineEntry,
    now: datetime,
    held: Sequence[Item] = (),
    *,
    terminate: bool = False,
) -> tuple[bool, Started]:
    """Cancel a run and show why; False when it has ended already. See end_runs()."""
    ending = Ending(run, RunStatus.CANCELLED, None, now, terminate=terminate)
    ended, outbox = end_runs(tx, ctx, [ending], held)
    if ended:
        note_cancelled(tx, [run], shown, now)
    return bool(ended), outbox.write(tx, ctx)


def cancel(
    ctx: Context, run_id: str, by: Actor | None = None, *, terminate: bool = False
) -> RunStatus:
    """Cancel a run at once, whatever it does; return the status it had before.

    Its Celery tasks are revoked, with `terminate` also those that run. A status in ENDED means that
    nothing was done. The answer to a request in flight is dropped.
    Raises NotFound for an unknown run. An operator's act is written to the audit log with it.
    """

    def write(tx: Connection) -> tuple[Run, RunStatus, Started]:
        now = ctx.now()
        found = load_runs.load(tx, [run_id]).get(run_id)
        if found is None:
            raise NotFound(f"run {run_id} does not exist")
        run = found[0]
        if run.status in ENDED:
            return run, run.status, Started()
        cause: JsonObject | None = None if by is None else {"by": by.shown}
        shown = cancellation_entry("CancelledByRequest", "Cancelled by request.", cause)
        ended, started = end_at_once(tx, ctx, run, shown, now, terminate=terminate)
        if ended:
            audit.note(tx, by, now, "run.cancel", run_id, run.function_slug)
        return run, run.status if ended else RunStatus.CANCELLED, started

    # alone: a shared commit locks runs in order, and this write would break that order
    run, before, started = ctx.committer.run_once(write)
    started.send(ctx)
    if before not in ENDED:
        signal_cancelled(run)
    return before


def signal_cancelled(run: Run) -> None:
    """Send the signal that a run has been cancelled; call after the commit."""
    observe.send(
        observe.run_finished,
        run_id=run.id,
        function_id=run.function_id,
        status=RunStatus.CANCELLED.value,
        output=None,
        queued_at=run.queued_at,
        function=run.function_slug,
        traceparent=run.traceparent,
    )
