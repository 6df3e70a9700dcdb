"""Durable endpoints: `/v1/checkpoint` and `/v1/http/runs` (protocol: checkpointing.md §3)."""

from datetime import timedelta

from flask import Response, request

from ...domain.access import tokens
from ...domain.errors import InngestPyError, Invalid
from ...domain.reply import api_result, checkpoint, durable_endpoint
from ...domain.runs.runs import ENDED, RunStatus
from ...domain.values import ids
from ...engine.intake.invoke import wait
from ...engine.work import durable_endpoint as engine
from .. import shapes
from ..deps import context
from ..errors import answer, public_error
from .checkpoint import blueprint

__all__ = ["blueprint"]
_LONGEST = timedelta(minutes=5)
_RUNNING = {"status": "running", "message": "run did not end within 5 minutes"}
_CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "*"}


@blueprint.post("/checkpoint")
@blueprint.post("/http/runs")
def create() -> Response:
    """Write a run that an SDK has begun."""
    ctx = context()
    now = ctx.now()
    new = durable_endpoint.parse_new(
        request.get_data(cache=False),
        now_ms=int(now.timestamp() * 1000),
        event_id=ctx.new_id(now),
        sdk=request.headers.get("X-Inngest-SDK", ""),
    )
    function_id = engine.create(ctx, new)
    secret, now_s = tokens.secrets(ctx.tuning.signing_keys)[0], int(ctx.real_now().timestamp())
    made = {
        "fn_id": function_id,
        "app_id": new.app_id,
        "run_id": new.run_id,
        "realtime_token": tokens.run_stream(new.run_id, secret, now_s),
    }
    if new.ops:
        made["token"] = tokens.run_claim(new.run_id, secret, now_s)
    return answer({"data": made, "metadata": {"fetched_at": shapes.stamp(now)}})


@blueprint.post("/checkpoint/<run_id>/steps")
@blueprint.post("/http/runs/<run_id>/steps")
def append(run_id: str) -> Response:
    """Store more opcodes of a run; their errors are only logged (§3.2)."""
    ids.check_ulid(run_id, "a run id", "run_id")
    given = checkpoint.read_body(request.get_data(cache=False), run_id)
    ops = checkpoint.read_ops(given.get("steps"))
    try:
        engine.append(context(), run_id, ops)
    except InngestPyError as error:
        engine.refused(run_id, error)
    return answer({"data": {"run_id": run_id}})


@blueprint.route("/checkpoint/<run_id>/output", methods=["GET", "OPTIONS"])
@blueprint.route("/http/runs/<run_id>/output", methods=["GET", "OPTIONS"])
def output(run_id: str) -> Response:
    """Wait for a run's end, then answer as the endpoint would (§3.3)."""
    if request.method == "OPTIONS":
        return _preflight()
    ctx = context()
    known = tokens.secrets(ctx.tuning.signing_keys)
    try:
        claimed = tokens.claimed_run(
            request.args.get("token", ""), known, ctx.real_now().timestamp()
        )
    except Invalid as error:
        return _open(public_error(error.message, 401))
    if claimed != run_id:
        return _open(public_error("the token is for another run", 401))
    row = wait(ctx, run_id, _LONGEST)
    if row is None:
        return _open(public_error(f"run {run_id} does not exist", 404))
    if RunStatus(row["status"]) not in ENDED:
        return _open(answer(_RUNNING))
    found = api_result.result(row["output"])
    if found is None:
        return _open(Response(row["output"] or "null", mimetype="application/json"))
    return _open(Response(found.body, found.status, found.headers))


def _preflight() -> Response:
    response = _open(Response(status=204))
    response.headers["Access-Control-Allow-Methods"] = "GET, OPTIONS"
    asked = request.headers.get("Access-Control-Request-Headers", "*")
    response.headers["Access-Control-Allow-Headers"] = asked
    return response


def _open(response: Response) -> Response:
    """Let browsers read the response from any origin."""
    response.headers.update(_CORS)
    return response
