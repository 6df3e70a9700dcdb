"""The HTTP call that a step asked the server to make."""

from ....domain.reply import gateway_answers
from ....domain.reply.plans import Plan
from ....domain.steps import gateway
from ...runtime.context import Context
from ...runtime.jobs import Job
from .. import signals
from ..writes import Call
from .policy import retry_policy


def call_gateway(ctx: Context, job: Job) -> tuple[Plan, Call]:
    """Make the call that a step asked the server for (execution.md §4.2)."""
    wanted = gateway.read(job.item.opts or "{}")
    started_at = ctx.now()
    reply = ctx.fetcher.fetch(wanted)
    ended_at = ctx.now()
    made = gateway_answers.plan(
        job.run, job.item, retry_policy(ctx, job), wanted, reply, ctx.real_now(), ctx.jitter()
    )
    done = Call(started_at, ended_at, reply.status or None, ctx.worker_name)
    signals.call(job, "gateway", wanted.url, "", made, done)
    return made, done
