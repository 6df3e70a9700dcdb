"""The settings that hold for one task of a run: its own, in a canvas, too."""

from dataclasses import dataclass

from ....domain.functions import task_settings
from ....domain.functions.celery_task import CeleryTask
from ....domain.reply.plans import Policy
from ...runtime.catalog import Function
from ...runtime.context import Context
from ...runtime.jobs import Job
from .policy import retry_policy

_FRESH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class TaskRules:
    """How a task is sent and tried again: `task` has its queue, its time, and `on_lost`."""

    task: CeleryTask
    policy: Policy


def rules_of(ctx: Context, job: Job, name: str) -> TaskRules:
    """Read the rules of a task that a run calls by its registered name.

    A run of the task's own function has the function's. In a canvas or workflow, what is set for
    the task goes before what is set for the run's function. A change of settings is noticed within
    five seconds.
    """
    config = job.function.config
    task, policy = config.celery or CeleryTask(), retry_policy(ctx, job)
    if task.task == name and not task.workflow:
        return TaskRules(task, policy)
    found = _function(ctx, job, name)
    if found is None or found.config.celery is None:
        return TaskRules(task, policy)
    own, declared = task_settings.layers(found.config)
    given = {**own, **declared}
    wanted = found.config.celery
    if "retries" in given or "backoff" in given:
        other = retry_policy(ctx, Job(job.item, job.run, found, {}))
        retries = other.retries if "retries" in given else policy.retries
        policy = Policy(retries, policy.linear, other.own if "backoff" in given else policy.own)
    return TaskRules(
        CeleryTask(
            name,
            queue=wanted.queue if "queue" in given else task.queue,
            timeout=wanted.timeout if "timeout" in given else task.timeout,
            on_lost=wanted.on_lost if "on_lost" in given else task.on_lost,
        ),
        policy,
    )


def _function(ctx: Context, job: Job, name: str) -> Function | None:
    """Find the function of a task of the run's app; None for one without settings."""
    ctx.catalog.refresh_if_older(ctx.db, _FRESH_SECONDS)
    found = ctx.catalog.by_slug.get(f"{job.function.app_name}-{name}")
    if found is None or found.app_id != job.function.app_id or found.config.celery is None:
        return None
    task = found.config.celery
    return found if task.own or task.declared else None
