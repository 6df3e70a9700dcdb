"""The end of a wait: with its answer, or timed out."""

from ....domain.reply.plans import Plan
from ....domain.reply.wait_end import plan_wait_end
from ...runtime.context import Context
from ...runtime.jobs import Job
from ..writes import Call


def end_wait(ctx: Context, job: Job) -> tuple[Plan, Call]:
    """End a wait with its answer, or without one as timed out (waits.md §2)."""
    made = plan_wait_end(job.run, job.item, job.ended_by)
    return made, Call(started_at=job.item.queued_at, ended_at=ctx.now())
