"""`POST /v1/traces/userland`: spans of user code, in OTLP (protocol: api.md §2)."""

from flask import Response

from ..protocol.sinks import swallow
from .common import blueprint


@blueprint.post("/traces/userland")
def spans() -> Response:
    """Accept spans; they are not kept."""
    return swallow()
