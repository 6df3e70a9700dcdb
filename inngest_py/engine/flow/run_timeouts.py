"""Timers of runs with time-outs: items of kind `timeout`, which are deleted with their run."""

from collections.abc import Iterable
from datetime import datetime

from ...domain.reply.timeouts import Exceeded, Limit
from ...domain.runs.items import ItemKind
from ...domain.runs.runs import Run
from ...storage.queue import queue_items
from ...storage.queue.queue_items import ItemRow
from ..runtime.catalog import Function
from ..runtime.context import Context


def start_timers(ctx: Context, function: Function, run_id: str, now: datetime) -> list[ItemRow]:
    """Make the row of a new run's start timer, if its function has a start time-out."""
    timeouts = function.config.timeouts
    if timeouts is None or timeouts.start is None:
        return []
    return [_row(ctx, run_id, Exceeded(Limit.START, timeouts.start), now)]


def finish_timers(
    ctx: Context, started: Iterable[tuple[Run, Function]], now: datetime
) -> list[ItemRow]:
    """Make the rows of the finish timers of runs whose first request goes out now."""
    rows = []
    for run, function in started:
        timeouts = function.config.timeouts
        if timeouts is not None and timeouts.finish is not None:
            exceeded = Exceeded(Limit.FINISH, timeouts.finish)
            rows.append(_row(ctx, run.id, exceeded, run.started_at or now))
    return rows


def _row(ctx: Context, run_id: str, exceeded: Exceeded, since: datetime) -> ItemRow:
    return queue_items.new_row(
        ctx.new_id(since),
        ItemKind.TIMEOUT,
        run_id,
        f"{run_id}-timeout-{exceeded.limit.value}",
        due_at=since + exceeded.after,
        now=since,
        opts=exceeded.text(),
    )
