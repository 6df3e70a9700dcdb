"""How a function's failed attempts are retried, as its settings and overrides say now."""

from ....domain.reply.plans import Policy
from ...flow import limits
from ...runtime.context import Context
from ...runtime.jobs import Job


def retry_policy(ctx: Context, job: Job) -> Policy:
    """Read the retry policy of a job's function."""
    own = limits.backoff(job.function, ctx.now())
    return Policy(job.function.config.retries, ctx.tuning.linear_retry, own)
