"""`/v0/runs/{id}/…`: the state of a run, if it is too large for a request (execution.md §1.4)."""

import orjson
from flask import Blueprint, Response

from ...domain.errors import NotFound
from ...domain.runs.runs import ENDED
from ...domain.values import canonical, ids
from ...engine.work.end_run import cancel as cancel_run
from ...storage.queries import run_state
from ..actors import actor
from ..deps import context
from ..errors import public_error

blueprint = Blueprint("state", __name__, url_prefix="/v0/runs")
_NO_RUN = "A function run with the given ID could not be found"


@blueprint.get("/<run_id>/actions")
def actions(run_id: str) -> Response:
    """Answer with the run's memo, in the form of a request's `steps`."""
    if not ids.is_ulid(run_id):
        return public_error(f"{run_id!r} is not a run id", 400)
    with context().db.reading() as tx:
        memo = run_state.memo(tx, run_id)
    if memo is None:
        return public_error(_NO_RUN, 410)
    raw = {step: orjson.Fragment(value) for step, value in memo.items()}
    return Response(orjson.dumps(raw), mimetype="application/json")


@blueprint.get("/<run_id>/batch")
def batch(run_id: str) -> Response:
    """Answer with the run's events, in the order of its batch."""
    if not ids.is_ulid(run_id):
        return public_error(f"{run_id!r} is not a run id", 400)
    with context().db.reading() as tx:
        payloads = run_state.event_payloads(tx, run_id)
    if payloads is None:
        return public_error(_NO_RUN, 410)
    batch = ",".join(map(canonical.for_sdks, payloads))
    return Response(f"[{batch}]", mimetype="application/json")


@blueprint.delete("/<run_id>")
def cancel(run_id: str) -> Response:
    """Cancel a run that has not ended."""
    if not ids.is_ulid(run_id):
        return public_error(f"{run_id!r} is not a run id", 400)
    try:
        before = cancel_run(context(), run_id, actor())
    except NotFound:
        return public_error(_NO_RUN, 404)
    return public_error(_NO_RUN, 404) if before in ENDED else Response(status=204)
