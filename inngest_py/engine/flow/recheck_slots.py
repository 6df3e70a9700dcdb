"""Check a run's groups of slots again at its first claim: its limits may have changed since then.

The groups that a run counts against are worked out when it is made. An override, its end or a sync
may then give the limits another key. A run that waited meanwhile gets its new groups at its first
claim, and waits in their lines, so that a backlog never runs past the new limits. A run that has
begun keeps its groups to its end.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from ...domain.flow import slots as rules
from ...domain.flow.slots import Slots
from ...domain.runs.items import ItemKind
from ...domain.runs.runs import RunStatus
from ...domain.values import canonical
from ...storage.queue import concurrency_slots
from ..runtime.jobs import Job
from . import limits, places

J = TypeVar("J", bound=Job)


def regroup(tx: Connection, jobs: Sequence[J], now: datetime) -> list[J]:
    """Give claimed first requests new groups of slots, if their functions' limits have changed.

    Returns the jobs whose runs another transaction has locked: they must be given back.
    """
    changed = []
    for job in jobs:
        if job.item.kind is not ItemKind.START or job.run.status is not RunStatus.QUEUED:
            continue
        config, held = limits.effective(job.function, now), job.run.slots
        if rules.is_current(held, job.function.id, config.concurrency, config.run_concurrency):
            continue
        changed.append(job)
    free = concurrency_slots.lock_runs(tx, [job.run.id for job in changed])
    ours = [job for job in changed if job.run.id in free]
    for job in ours:
        job.run = replace(job.run, slots=_slots(job, now))
    concurrency_slots.regroup(tx, [(job.run.id, job.item.id, job.run.slots) for job in ours])
    return [job for job in changed if job.run.id not in free]


def _slots(job: Job, now: datetime) -> Slots | None:
    config = limits.effective(job.function, now)
    if not limits.counts(job.function, now):
        return None
    event, rank = canonical.loads(job.run.event), places.rank_us(job, now)
    return rules.of_run(
        job.function.id, config.concurrency, config.run_concurrency, event, now, rank
    )
