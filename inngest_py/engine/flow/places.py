"""Places: a run's rank in every line that it may have to wait in (flow-control.md §7)."""

from datetime import datetime

from ...domain.flow import priority
from ...domain.values import canonical
from ..runtime.jobs import Job
from . import limits


def rank_us(job: Job, now: datetime) -> int:
    """Give a job's rank: the one it has, or the one that its run would get if it were made now."""
    held, rank = job.run.slots, job.item.rank_us
    if held is not None:
        rank = held.rank_us
    if rank is not None:
        return int(rank)
    rule, ahead = limits.effective(job.function, now).priority, 0
    if rule is not None:
        ahead = priority.seconds(rule, canonical.loads(job.run.event), now)
    return priority.rank_us(job.item.due_at, ahead)
