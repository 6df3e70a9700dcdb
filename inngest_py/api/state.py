"""`/v0/runs/{id}/…`: the state that was too large for the request (execution.md §1.4)."""

from flask import Blueprint, Response

from ..domain import ids
from ..domain.runs import ENDED, RunStatus
from ..engine.ending import cancel as cancel_run
from ..storage import events, runs, steps
from . import auth
from .deps import context
from .errors import public

blueprint = Blueprint("state", __name__, url_prefix="/v0/runs")
_NO_RUN = "A function run with the given ID could not be found"


@blueprint.before_request
def _authenticate() -> Response | None:
    return auth.refuse_bearer()


def _json(text: str) -> Response:
    return Response(text, mimetype="application/json")


@blueprint.get("/<run_id>/actions")
def actions(run_id: str) -> Response:
    """Answer the memo, as `steps` of a request holds it."""
    if not ids.is_ulid(run_id):
        return public(f"{run_id!r} is not a run id", 400)
    with context().db.reading() as tx:
        run = runs.get(tx, run_id)
        if run is None or RunStatus(run["status"]) in ENDED:
            return public(_NO_RUN, 410)
        memo = steps.memo(tx, [run_id])[run_id]
    entries = ",".join(f'"{step}":{value}' for step, value in memo.items())
    return _json(f"{{{entries}}}")


@blueprint.get("/<run_id>/batch")
def batch(run_id: str) -> Response:
    """Answer the run's events."""
    if not ids.is_ulid(run_id):
        return public(f"{run_id!r} is not a run id", 400)
    with context().db.reading() as tx:
        run = runs.get(tx, run_id)
        if run is None or RunStatus(run["status"]) in ENDED:
            return public(_NO_RUN, 410)
        event = events.get(tx, run["event_id"])
    return _json(f"[{event['payload'] if event else ''}]")


@blueprint.delete("/<run_id>")
def cancel(run_id: str) -> Response:
    """Cancel a run that has not ended."""
    if not ids.is_ulid(run_id):
        return public(f"{run_id!r} is not a run id", 400)
    if cancel_run(context(), run_id) in ENDED:
        return public(_NO_RUN, 404)
    return Response(status=204)
