"""Workflows of runs: the canvas that a run has started with, and what its expressions see."""

from functools import lru_cache

from sqlalchemy import Connection

from ....domain.canvas import workflows
from ....domain.canvas.expressions import Scope
from ....domain.canvas.nodes import Canvas
from ....domain.errors import Invalid
from ....domain.functions.workflow_settings import MOST_JSON_LEVELS
from ....domain.steps import tasks
from ....domain.values import canonical
from ....storage.runs import steps
from ....storage.runs import workflows as rows
from ...runtime.context import Context
from ...runtime.jobs import Job


def of_run(ctx: Context, run_id: str, queue: str | None) -> Canvas:
    """Read the workflow that a run has started with; later changes of it are for later runs.

    Raises Invalid when it is gone.
    """
    return ctx.committer.read(lambda tx: read(tx, run_id, queue))


def read(tx: Connection, run_id: str, queue: str | None) -> Canvas:
    """Do the same as of_run() within a transaction."""
    stored = rows.of_run(tx, run_id)
    if stored is None:
        raise Invalid("the workflow of this run is gone: start a new run")
    return _read(stored, queue)


@lru_cache(maxsize=64)
def _read(stored: str, queue: str | None) -> Canvas:
    return workflows.read(canonical.loads(stored, MOST_JSON_LEVELS), queue=queue)


def scope(ctx: Context, job: Job) -> Scope | None:
    """Return what the expressions of a run's workflow see; None for a run without a workflow."""
    task = job.function.config.celery
    if task is None or not task.workflow:
        return None
    run = job.run

    @lru_cache(maxsize=1)
    def events() -> list[object]:
        return [canonical.loads(event) for event in run.events or (run.event,)]

    def stored(path: str) -> object:
        step = tasks.step_of(path)
        text = job.memo.get(step) or ctx.committer.read(lambda tx: _result(tx, run.id, step))
        return tasks.result_from_json(text)

    return Scope(events, stored, ctx.now())


def _result(tx: Connection, run_id: str, step: str) -> str:
    found = steps.output(tx, run_id, step)
    if found is None:
        raise Invalid("the result of a step before is missing")
    return found
