"""The time-out of a run."""

from ....domain.reply import timeouts
from ....domain.reply.plans import Plan
from ...runtime.context import Context
from ...runtime.jobs import Job
from ..writes import Call


def time_out(ctx: Context, job: Job) -> tuple[Plan, Call]:
    """End a run whose time is over (waits.md §7.3)."""
    now = ctx.now()
    return timeouts.on_timer(timeouts.read(job.item.opts or ""), job.run), Call(now, now)
