"""`POST /v1/traces/userland`: spans of user code, in OTLP (protocol: api.md §2)."""

from flask import Response

from ..protocol.sinks import accept_export
from .common import blueprint


@blueprint.post("/traces/userland")
def spans() -> Response:
    """Accept spans; they are not kept."""
    return accept_export()
