"""The end of a wait: with its answer, or timed out; before that, its look back."""

from ....domain.reply.plans import Plan
from ....domain.reply.wait_end import plan_wait_end
from ....domain.steps.wait_results import EndedBy, read_wait
from ...intake import look_back
from ...intake.waits import read_wait_end
from ...runtime.context import Context
from ...runtime.jobs import Job
from ..writes import Call


def end_wait(ctx: Context, job: Job) -> tuple[Plan, Call] | None:
    """End a wait with its answer, or without one as timed out (waits.md §2).

    None if it is a wait that looks back and has found nothing: it goes on.
    """
    answer = job.ended_by
    wait = read_wait(job.item.opts)
    if wait.look is not None:
        found = look_back.look(ctx, job, wait.look)
        if found.earliest is None and answer is None:
            look_back.go_on(ctx, job.item, wait, found)
            return None
        answer = found.earliest or answer
    made = plan_wait_end(job.run, job.item, answer, is_open=job.ended_by is None)
    return made, Call(started_at=job.item.queued_at, ended_at=ctx.now())


def plan_of_ended_wait(ctx: Context, job: Job) -> Plan:
    """Plan the end of a wait that was closed while another end was planned."""
    answer: EndedBy | None = None
    wait = read_wait(job.item.opts)
    if wait.look is not None:
        answer = look_back.look(ctx, job, wait.look).earliest
    answer = answer or read_wait_end(ctx, job.item)
    return plan_wait_end(job.run, job.item, answer, is_open=False)
