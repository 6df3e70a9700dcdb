"""Check a run's throttle again at its first claim: it may have changed since the run was made.

A run gets the name of its throttle's bucket when it is made. A sync or an override may then add a
throttle, or give it another key. The run's first claim sees that no throttle was charged for it,
and sends it through the throttle that is in force.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from ...domain.runs.items import Item, ItemKind
from ...domain.runs.runs import RunStatus
from ...domain.values import canonical
from ...storage.queue import waiting_lines
from ..runtime.context import Context, Hint
from ..runtime.jobs import Job
from . import limits, places, throttles

J = TypeVar("J", bound=Job)


def recheck_throttles(
    tx: Connection, ctx: Context, jobs: Sequence[J], now: datetime
) -> tuple[list[J], list[J], list[Hint]]:
    """Charge throttles for claimed first requests that were not charged yet.

    Returns the jobs to run, the jobs to give back because their throttle was changed just now,
    and hints for other items. The rest waits, without a lease.
    """
    uncharged = [job for job in jobs if _is_uncharged(job, now)]
    if not uncharged:
        return list(jobs), [], []
    lines: dict[str, list[Item]] = defaultdict(list)
    for job in uncharged:
        item = _placed(job, now)
        lines[str(item.gate)].append(item)
    waiting_lines.set_places(tx, [item for line in lines.values() for item in line])
    waiting, charged, hints = throttles.admit(tx, ctx, lines, now)
    changed = [job for job in uncharged if job.item.id not in waiting | charged]
    held = {job.item.id for job in changed} | waiting
    return [job for job in jobs if job.item.id not in held], changed, hints


def _is_uncharged(job: Job, now: datetime) -> bool:
    return (
        job.item.kind is ItemKind.START
        and job.item.opts != waiting_lines.CHARGED
        and limits.throttle(job.function, now) is not None
        and job.run.status is RunStatus.QUEUED
    )


def _placed(job: Job, now: datetime) -> Item:
    """Return a job's item with the bucket and the place that today's throttle would give it."""
    rule = limits.throttle(job.function, now)
    assert rule is not None, "the job is uncharged"
    gate = throttles.bucket_of(job.function, rule, lambda: canonical.loads(job.run.event), now)
    item: Item = replace(job.item, gate=gate, rank_us=places.rank_us(job, now))
    return item
