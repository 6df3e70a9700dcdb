"""Bulk cancellations: stored at once, done page by page (protocol: api.md §2.3).

A page of runs and the progress are written in one transaction, so a crash repeats nothing.
"""

import contextlib
from collections.abc import Callable, Sequence
from datetime import timedelta

from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import SQLAlchemyError

from ... import observe
from ...domain.errors import NotFound
from ...domain.reply.plans import TimelineEntry
from ...domain.reply.timeouts import cancellation_entry
from ...domain.runs import bulk_cancellations as rules
from ...domain.runs.bulk_cancellations import BulkCancel
from ...domain.runs.runs import Run, RunStatus
from ...storage.db.row_types import RowValues
from ...storage.operations import bulk_cancellations as rows
from ...storage.queries.operations import cancellation_list
from ...storage.queue import load_runs
from ...storage.runs import runs
from ..intake.started import Started
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.context import Context
from ..work.end_run import end_runs, note_cancelled, signal_cancelled
from ..work.revoking import Ending

_PAGE = 100
# A run may be committed up to a minute after its `queued_at` (runtime/group_commit.py): an earlier
# pass may have missed it.
SETTLED = timedelta(seconds=90)


def create(ctx: Context, asked: BulkCancel, by: Actor | None = None) -> RowMapping:
    """Store a bulk cancellation and do its first page; return its row.

    Raises NotFound for an unknown function.
    """
    now = ctx.now()
    cancellation_id = ctx.new_id(now)

    def write(tx: Connection) -> None:
        function = rows.of_function(
            tx, asked.app, [asked.function, f"{asked.app}-{asked.function}"]
        )
        if function is None:
            raise NotFound("function not found")
        row: RowValues = {
            "id": cancellation_id,
            "name": asked.name,
            "function_id": function["id"],
            "started_after": asked.started_after,
            "started_before": asked.started_before,
            "expression": asked.expression,
            "created_at": now,
            "due_at": now,
        }
        rows.add(tx, row)
        detail = f"as {cancellation_id} from {asked.started_after} to {asked.started_before}"
        audit.note(tx, by, now, "runs.cancel", function["slug"], detail)

    ctx.committer.run_once(write)
    with contextlib.suppress(SQLAlchemyError):  # it is stored: upkeep does it
        cancel_page(ctx, cancellation_id)
    with ctx.db.reading() as tx:
        found = cancellation_list.get(tx, cancellation_id)
    if found is None:
        raise NotFound("the cancellation has been deleted meanwhile")
    return found


def remove(ctx: Context, cancellation_id: str, by: Actor | None = None) -> None:
    """Delete a bulk cancellation: runs it has not cancelled yet continue. Raises NotFound."""
    with ctx.db.transaction() as tx:
        if not rows.remove(tx, cancellation_id):
            raise NotFound("cancellation not found")
        audit.note(tx, by, ctx.now(), "runs.cancel.stop", cancellation_id)


def cancel_page(ctx: Context, cancellation_id: str | None = None) -> bool:
    """Cancel the next page of runs of one due cancellation; say whether there was one."""
    with ctx.db.reading() as tx:
        if not rows.is_due(tx, ctx.now()):
            return False
    with ctx.db.transaction() as tx:
        row = rows.lock_due(tx, ctx.now(), cancellation_id)
        if row is None:
            return False
        cancelled, started = _page(tx, ctx, row)
    started.send(ctx)
    for run in cancelled:
        signal_cancelled(run)
    if cancelled:
        observe.event("runs.cancelled", cancellation=row["id"], runs=len(cancelled))
    return True


def cancel_together(
    tx: Connection,
    ctx: Context,
    ids: Sequence[str],
    entry: TimelineEntry,
    fits: Callable[[Run], bool] = lambda run: True,
) -> tuple[list[Run], Started]:
    """Cancel those of some runs that have not ended and that fit; `entry` is their timeline's line.

    Returns the runs and what to send after the commit; call signal_cancelled() for each then.
    Locks the runs.
    """
    if not ids:
        return [], Started()
    now = ctx.now()
    runs.lock(tx, ids)
    endings = [
        Ending(run, RunStatus.CANCELLED, None, now)
        for run, _ in load_runs.load(tx, ids).values()
        if fits(run)
    ]
    if not endings:
        return [], Started()
    ended, outbox = end_runs(tx, ctx, endings)
    cancelled = [one.run for one in endings if one.run.id in ended]
    note_cancelled(tx, cancelled, entry, now)
    return cancelled, outbox.write(tx, ctx)


def _page(tx: Connection, ctx: Context, row: RowMapping) -> tuple[list[Run], Started]:
    now = ctx.now()
    ids = rows.live_runs(tx, row, _PAGE)
    text = f"Cancelled by the bulk cancellation {row['name'] or row['id']}."
    shown = cancellation_entry("CancelledByRequest", text, {"cancellationID": row["id"]})
    cancelled, started = cancel_together(
        tx, ctx, ids, shown, lambda run: rules.matches(row["expression"], run.event, now)
    )
    again_at = row["started_before"] + SETTLED
    progress: RowValues
    if len(ids) == _PAGE:
        progress = {"cursor": ids[-1]}
    elif now < again_at:
        progress = {"cursor": None, "due_at": again_at}
    else:
        progress = {"cursor": None, "finished_at": now}
    rows.move(tx, row["id"], progress, len(cancelled))
    return cancelled, started
