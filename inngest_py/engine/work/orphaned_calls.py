"""Orphaned calls: requests in flight whose run has ended. They keep their slots until they end.

Ending a run does not stop a call that is already in flight. The app keeps working on it and still
counts it. So the item of a call that has slots of concurrency stays as it is, leased and in its
groups. It is deleted when the answer comes or when its lease has lapsed.
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


def give_back_slots(ctx: Context, job: Job) -> None:
    """Give back the slots of a call whose answer came after its run's end."""
    if job.run.slots is None:
        return
    try:
        hints = ctx.committer.run_alone(lambda tx: _drop(tx, ctx, [job], ctx.now()))
    except LeaseLost:  # the lease has lapsed
        return
    except SQLAlchemyError as error:  # the lease will lapse
        observe.event("item.not_written", level=40, item_id=job.item.id, **logged(error))
        return
    if hints:
        ctx.hints.send(hints)


def drop_ended(
    tx: Connection, ctx: Context, jobs: Sequence[Job], now: datetime
) -> tuple[list[Job], list[Hint]]:
    """Drop claimed items of ended runs: their leases had lapsed. Return other jobs, and hints."""
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
    return concurrency.let_in(tx, ctx, lines, now)
