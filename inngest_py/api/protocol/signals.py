"""`POST /v1/signals`: resume the run that waits for a signal (protocol: waits.md §5)."""

from flask import Blueprint, Response, request

from ...domain.errors import Invalid
from ...domain.values import canonical
from ...domain.values.checks import kind
from ...engine.intake.waits import signal
from .. import shapes
from ..deps import context
from ..errors import answer, public_error

blueprint = Blueprint("signals", __name__, url_prefix="/v1")


@blueprint.post("/signals")
def send() -> Response:
    """Give the signal's data to the run that waits for it; without one, the signal is not kept."""
    body = canonical.loads(request.get_data(cache=False) or b"null")
    if not isinstance(body, dict):
        raise Invalid(f'the body must be an object with "signal" and "data", not {kind(body)}')
    name = body.get("signal")
    if not isinstance(name, str):
        raise Invalid(f"signal must be a string, not {kind(name)}", field="signal")
    run_id = signal(context(), name, body.get("data"))
    if run_id is None:
        return public_error("No signal found", 404)
    fetched_at = shapes.stamp(context().now())
    return answer({"data": {"run_id": run_id}, "metadata": {"fetched_at": fetched_at}})
