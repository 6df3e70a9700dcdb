"""Ending runs: what follows from a terminal status, in the transaction that sets it."""

from datetime import datetime

from sqlalchemy import Connection

from ..domain import events
from ..domain.errors import NotFound
from ..domain.runs import ENDED, Run, RunStatus
from ..storage import queue, runs
from .context import Context
from .start import Started, write_events

_SILENT = frozenset({"inngest/function.finished", "inngest/function.failed"})


def end_run(
    tx: Connection, ctx: Context, run: Run, status: RunStatus, output: str | None, now: datetime
) -> Started:
    """Drop what is queued for an ended run and publish its events (events.md §8.1, §8.2).

    Runs that were started by these events publish none, or a handler could start itself for ever.
    """
    queue.drop_run(tx, run.id)
    if run.event_name in _SILENT:
        return Started()
    published = events.ended(
        run_id=run.id,
        function_slug=run.function_slug,
        status=status.value,
        event=run.event,
        output=output,
        correlation_id=run.correlation_id,
        finished_id=ctx.new_id(now),
        now_ms=int(now.timestamp() * 1000),
    )
    return write_events(tx, ctx, published)


def cancel(ctx: Context, run_id: str) -> RunStatus:
    """Cancel a run at once, whatever it does; return the status it had before.

    A status in ENDED means that nothing was done. An answer of a call in flight finds its item
    gone and is dropped. Raises NotFound for an unknown run.
    """

    def write(tx: Connection) -> tuple[RunStatus, Started]:
        now = ctx.now()
        found = runs.load(tx, [run_id]).get(run_id)
        if found is None:
            raise NotFound(f"run {run_id} does not exist")
        run = found[0]
        if run.status in ENDED or not runs.end(tx, run_id, RunStatus.CANCELLED, None, now):
            return run.status if run.status in ENDED else RunStatus.CANCELLED, Started()
        return run.status, end_run(tx, ctx, run, RunStatus.CANCELLED, None, now)

    before, started = ctx.committer.run(run_id, write)
    started.tell(ctx)
    return before
