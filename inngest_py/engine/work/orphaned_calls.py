"""Calls that outlive their runs: they keep their slots until they are over.

Who ends a run cannot end a call of it that is in flight: the app goes on with it, and counts it.
So the item of such a call stays as it is, leased and in its groups, where it has slots of
concurrency. It goes when the answer comes, or with the lease.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from ... import observe
from ...domain.errors import LeaseLost
from ...domain.runs.items import Item
from ...domain.runs.runs import ENDED
from ...storage.db.outages import logged
from ...storage.queue import queue_items
from ...storage.runs import attempts
from ..flow import concurrency
from ..flow.concurrency import Lines
from ..runtime.context import Context, Hint
from ..runtime.jobs import Job
from .end_run import cut_off


def over(ctx: Context, job: Job) -> None:
    """Give the slots of a call back whose answer came after its run's end."""
    if job.run.slots is None:
        return
    try:
        hints = ctx.committer.run_alone(lambda tx: _drop(tx, ctx, [job], ctx.now()))
    except LeaseLost:  # it has lapsed
        return
    except SQLAlchemyError as error:  # it will lapse
        observe.event("item.not_written", level=40, item_id=job.item.id, **logged(error))
        return
    if hints:
        ctx.hints.send(hints)


def drop(
    tx: Connection, ctx: Context, jobs: Sequence[Job], now: datetime
) -> tuple[list[Job], list[Hint]]:
    """Drop claimed items of ended runs, whose leases had lapsed; give the others, and hints."""
    gone = [job for job in jobs if job.run.status in ENDED]
    if not gone:
        return list(jobs), []
    return [job for job in jobs if job not in gone], _drop(tx, ctx, gone, now)


def _drop(tx: Connection, ctx: Context, jobs: Sequence[Job], now: datetime) -> list[Hint]:
    items: list[Item] = [job.item for job in jobs]
    queue_items.finish(tx, items)
    attempts.add(tx, [cut_off(item, now) for item in items if item.step is not None])
    lines: Lines = {}
    for job in jobs:
        lines |= concurrency.lines_of(job.run, ended=True)
    return concurrency.advance(tx, ctx, lines, now)
