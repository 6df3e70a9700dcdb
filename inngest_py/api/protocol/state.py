"""`/v0/runs/{id}/…`: the state of a run, if it is too large for a request (execution.md §1.4)."""

import orjson
from flask import Blueprint, Response
from sqlalchemy import Connection, RowMapping

from ...domain.errors import NotFound
from ...domain.runs.runs import ENDED, RunStatus
from ...domain.values import ids
from ...engine.work.end_run import cancel as cancel_run
from ...storage.events import events
from ...storage.flow import event_batches
from ...storage.queries import run_lookups
from ...storage.runs import steps
from ..actors import actor
from ..deps import context
from ..errors import public_error

blueprint = Blueprint("state", __name__, url_prefix="/v0/runs")
_NO_RUN = "A function run with the given ID could not be found"


def _json(text: str) -> Response:
    return Response(text, mimetype="application/json")


@blueprint.get("/<run_id>/actions")
def actions(run_id: str) -> Response:
    """Answer with the run's memo, in the form of a request's `steps`."""
    if not ids.is_ulid(run_id):
        return public_error(f"{run_id!r} is not a run id", 400)
    with context().db.reading() as tx:
        run = run_lookups.get(tx, run_id, ("status", "input_step", "input"))
        if run is None or RunStatus(run["status"]) in ENDED:
            return public_error(_NO_RUN, 410)
        memo = steps.memo(tx, [run_id])[run_id]
    if run["input_step"] is not None:
        memo.setdefault(run["input_step"], run["input"])
    raw = {step: orjson.Fragment(value) for step, value in memo.items()}
    return Response(orjson.dumps(raw), mimetype="application/json")


@blueprint.get("/<run_id>/batch")
def batch(run_id: str) -> Response:
    """Answer with the run's events, in the order of its batch."""
    if not ids.is_ulid(run_id):
        return public_error(f"{run_id!r} is not a run id", 400)
    with context().db.reading() as tx:
        run = run_lookups.get(tx, run_id)
        if run is None or RunStatus(run["status"]) in ENDED:
            return public_error(_NO_RUN, 410)
        payloads = _payloads(tx, run)
    return _json(f"[{','.join(payloads)}]")


def _payloads(tx: Connection, run: RowMapping) -> list[str]:
    if run["batch_id"] is not None:
        return event_batches.payloads(tx, [run["batch_id"]]).get(run["batch_id"], [])
    event = events.get(tx, run["event_id"])
    return [] if event is None else [event["payload"]]


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
