"""Enlisting: runs that have not begun go by the throttle that is in force when they do.

A run gets its throttle's gate when it is made. A throttle that a deploy or an override adds, or
gives another key, since then holds it back all the same: its first claim finds that no throttle
was charged for it and sends it through the gate of today.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection

from ...domain.runs.items import Item, ItemKind
from ...domain.runs.runs import RunStatus
from ...domain.values import canonical
from ...storage.queue import waiting_lines
from ..runtime.context import Context, Hint
from . import limits, places, throttles

J = TypeVar("J", bound=Any)


def enlist(
    tx: Connection, ctx: Context, jobs: Sequence[J], now: datetime
) -> tuple[list[J], list[J], list[Hint]]:
    """Send claimed first requests through gates that they have not passed.

    Returns the jobs to go on with, those to be given back since their throttle was changed just
    now, and hints for others. The rest waits, without a lease.
    """
    late = [job for job in jobs if _is_late(job, now)]
    if not late:
        return list(jobs), [], []
    lines: dict[str, list[Item]] = defaultdict(list)
    for job in late:
        item = _placed(job, now)
        lines[str(item.gate)].append(item)
    waiting_lines.enlist(tx, [item for line in lines.values() for item in line])
    waiting, charged, hints = throttles.admit(tx, ctx, lines, now)
    changed = [job for job in late if job.item.id not in waiting | charged]
    held = {job.item.id for job in changed} | waiting
    return [job for job in jobs if job.item.id not in held], changed, hints


def _is_late(job: Any, now: datetime) -> bool:
    return (
        job.item.kind is ItemKind.START
        and job.item.opts != waiting_lines.CHARGED
        and limits.throttle(job.function, now) is not None
        and job.run.status is RunStatus.QUEUED
    )


def _placed(job: Any, now: datetime) -> Item:
    """Give a job's item with the gate and the place in line that it would have been made with."""
    rule: Any = limits.throttle(job.function, now)
    gate = throttles.gate_of(job.function, rule, lambda: canonical.loads(job.run.event), now)
    item: Item = replace(job.item, gate=gate, rank_us=places.rank_us(job, now))
    return item
