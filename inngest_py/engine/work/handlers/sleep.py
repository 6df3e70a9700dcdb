"""The end of a sleep."""

from ....domain.reply.plans import Plan, StepResult
from ....domain.reply.wait_end import sleep_entry
from ...runtime.context import Context
from ...runtime.jobs import Job
from ..writes import Call


def end_sleep(ctx: Context, job: Job) -> tuple[Plan, Call]:
    """End a sleep: its memo is null (execution.md §4.1)."""
    item = job.item
    entry = sleep_entry(item, "completed")
    result = StepResult(item.step or "", entry.name, entry.op, "null", races=item.opts is not None)
    made = Plan(results=[result], timeline=[entry])
    return made, Call(started_at=item.queued_at, ended_at=ctx.now())
