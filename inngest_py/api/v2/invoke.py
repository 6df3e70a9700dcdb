"""`POST /v2/apps/{app}/functions/{function}/invoke`."""

from datetime import timedelta

from flask import Response
from sqlalchemy import RowMapping

from ...domain.errors import Conflict, Invalid, RateLimited
from ...domain.runs import outputs
from ...domain.runs.runs import ENDED, RunStatus
from ...domain.values.json_types import JsonObject
from ...engine.admin import limit_overrides
from ...engine.intake import invoke as engine
from ...storage.queries import run_lookups
from ...storage.queries.run_columns import WITH_OUTPUT
from .. import shapes
from ..actors import actor
from ..deps import context
from . import functions
from .common import arg, blueprint, body, enveloped, raw

_MOST_SECONDS = 60.0


@blueprint.post("/apps/<app_id>/functions/<function_id>/invoke")
def invoke(app_id: str, function_id: str) -> Response:
    """Invoke a function; with `?wait=<seconds>`, wait up to so long for the end of its run."""
    wait = _wait()
    given = body(optional=True)
    key = given.text("idempotencyKey")
    ctx = context()
    with ctx.db.reading() as tx:
        function = functions.find(tx, app_id, function_id)
    payload = {"data": given.get("data")}
    try:
        done = engine.invoke(
            ctx, function["id"], payload, given.size, idempotency_key=key, by=actor()
        )
    except Invalid as error:
        raise Invalid(error.message, field=error.field, code="validation_error") from None
    if done.run_id is None:
        raise _not_started(function)
    with ctx.db.reading() as tx:
        row = run_lookups.get(tx, done.run_id, WITH_OUTPUT)
    if wait and row is not None:
        row = engine.wait(ctx, done.run_id, wait)
    if row is not None and row["status"] == RunStatus.SKIPPED.value:
        raise Conflict(f"run {done.run_id} was skipped", code="function_skipped")
    return enveloped(_shape(done.run_id, row))


def _wait() -> timedelta:
    text = arg("wait")
    if text is None:
        return timedelta(0)
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MOST_SECONDS:
        message = f"wait must be a number of seconds up to {_MOST_SECONDS:g}"
        raise Invalid(message, field="wait", code="invalid_field_format")
    return timedelta(seconds=seconds)


def _not_started(function: RowMapping) -> Exception:
    """Make the error for an invocation that started no run because of the function's limits."""
    config = limit_overrides.of_row(function, context().now()).effective
    name = function["slug"]
    if config.debounce is not None:
        return Conflict(f"{name} is debounced: its run starts later", code="function_debounced")
    if config.rate_limit is not None:
        return RateLimited(f"{name} is over its rate limit")
    return Conflict(f"{name} did not start a run of its own", code="function_skipped")


def _shape(run_id: str, row: RowMapping | None) -> JsonObject:
    if row is None:
        return {"runId": run_id}
    shown: JsonObject = {
        "runId": run_id,
        "queuedAt": shapes.stamp(row["queued_at"]),
        "startedAt": shapes.stamp(row["started_at"]),
    }
    if RunStatus(row["status"]) not in ENDED:
        return shown
    shown["completedAt"] = shapes.stamp(row["ended_at"])
    if row["status"] == RunStatus.COMPLETED.value:
        shown["result"] = raw(row["output"] or "null")
    elif row["output"] is not None:
        shown["error"] = outputs.error_object(shapes.output(row))
    else:
        shown["error"] = {"name": "Error", "message": f"the run was {row['status']}"}
    return shown
