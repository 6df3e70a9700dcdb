"""`POST /v2/runs/{id}/rerun` and `/cancel`."""

from flask import Response

from ...domain.errors import Conflict, Invalid
from ...domain.runs import rerun as rules
from ...domain.runs.runs import ENDED, RunStatus
from ...engine.admin.rerun import rerun as rerun_run
from ...engine.work.end_run import cancel as cancel_run
from ..actors import actor
from ..deps import context
from .common import blueprint, body, enveloped, ulid


@blueprint.post("/runs/<run_id>/rerun")
def rerun(run_id: str) -> Response:
    """Run a run's event again, from the start or from a step with new input."""
    ulid(run_id, "run")
    given = body(optional=True).object("fromStep")
    step = None
    if given is not None:
        step_id = given.needed("stepId")
        try:
            step = rules.from_step(step_id, given.get("input"))
        except Invalid as error:
            code = "invalid_field_format"
            raise Invalid(error.message, field=error.field, code=code) from None
    return enveloped({"runId": rerun_run(context(), run_id, step, actor())})


@blueprint.post("/runs/<run_id>/cancel")
def cancel(run_id: str) -> Response:
    """Cancel a run that has not ended."""
    before = cancel_run(context(), ulid(run_id, "run"), actor())
    if before is RunStatus.CANCELLED:
        raise Conflict(f"run {run_id} is cancelled already", code="run_already_cancelled")
    if before in ENDED:
        raise Conflict(f"run {run_id} has ended: {before.value}", code="run_already_ended")
    return enveloped({"runId": run_id})
