"""Stranded runs: find and repair runs that have not ended and that nothing will continue.

There should be none. Each one found is logged, counted, and gets a new request. A look reads a
bounded number of live runs and starts where the last look ended, so a million live runs cost a
look no more than a thousand.
"""

from sqlalchemy import Connection

from ... import observe
from ...domain.runs.items import ItemKind
from ...domain.runs.runs import Run, RunStatus
from ...storage.operations import stranded
from ...storage.queue import load_runs, queue_items
from ...storage.queue.queue_items import ItemRow
from ..flow import concurrency
from ..intake.publish import start_item
from ..runtime.context import Context, Hint

_AT_ONCE = 500
_STATUSES = (RunStatus.RUNNING, RunStatus.QUEUED)


class Stranded:
    """The service; `_after` has the run of each status that was read last."""

    def __init__(self) -> None:
        self._after = dict.fromkeys(_STATUSES, "")

    def run_once(self, ctx: Context) -> bool:
        """Look at the next runs of each live status."""
        found: list[str] = []
        with ctx.db.reading() as tx:
            for status, after in self._after.items():
                ids, self._after[status] = stranded.scan(tx, status, after, _AT_ONCE)
                found += ids
        if found:
            repair(ctx, found)
        return False


def repair(ctx: Context, run_ids: list[str]) -> None:
    """Queue a new request for each of the runs that is still stranded."""

    def write(tx: Connection) -> tuple[list[Run], list[Hint]]:
        statuses = stranded.release(tx, sorted(run_ids))
        if not statuses:
            return [], []
        found = [run for run, _ in load_runs.load(tx, sorted(statuses)).values()]
        rows = [_item(ctx, run, statuses[run.id]) for run in found]
        queue_items.put(tx, rows)
        return found, [(ItemKind(row["kind"]), row["id"]) for row in rows]

    repaired, hints = ctx.committer.run_alone(write)
    for run in repaired:
        observe.event(
            "run.repaired",
            level=40,
            run_id=run.id,
            status=run.status.value,
            function_id=run.function_id,
            function=run.function_slug,
        )
    if hints:
        ctx.hints.send(hints)


def _item(ctx: Context, run: Run, status: RunStatus) -> ItemRow:
    """Make the row of a run's first request, or of a discovery if the run has begun."""
    now = ctx.now()
    row = start_item(ctx.new_id(now), run.id, now, now)
    if status is RunStatus.QUEUED:
        return {**row, **concurrency.columns(run.slots, ItemKind.START)}
    row["kind"], row["job_key"] = ItemKind.EDGE.value, f"{run.id}-repair"
    return {**row, **concurrency.columns(run.slots, ItemKind.EDGE)}
