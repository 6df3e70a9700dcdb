"""`/v1/checkpoint/…` and its alias `/v1/http/runs/…` (protocol: checkpointing.md)."""

from flask import Blueprint, Response, request

from ...domain.errors import InngestPyError
from ...domain.reply import checkpoint
from ...domain.values import ids
from ...engine.work import checkpoint as engine
from ..deps import context
from ..errors import answer, public_error, status_of

blueprint = Blueprint("checkpoint", __name__, url_prefix="/v1")


@blueprint.errorhandler(InngestPyError)
def _refused(error: InngestPyError) -> Response:
    """Answer with the public error and the id of the run (checkpointing.md §2)."""
    run_id = (request.view_args or {}).get("run_id")
    return public_error(error.message, status_of(error), data={"run_id": run_id})


@blueprint.post("/checkpoint/<run_id>/async")
@blueprint.post("/http/runs/<run_id>/async")
def store(run_id: str) -> Response:
    """Store steps that a request in flight has finished."""
    ids.check_ulid(run_id, "a run id", "run_id")
    given = checkpoint.parse(request.get_data(cache=False), run_id)
    engine.store(context(), run_id, given)
    return answer({"data": {"run_id": run_id}})
