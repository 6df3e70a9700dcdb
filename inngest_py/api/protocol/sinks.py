"""Telemetry that is accepted but not kept: OTLP exports, and the UI's own (protocol: api.md §3)."""

from flask import Blueprint, Response, request

from ...domain.errors import Invalid
from ...domain.values import canonical
from ...domain.values.checks import kind
from ..errors import answer

_PROTOBUF = "application/x-protobuf"

blueprint = Blueprint("sinks", __name__)


@blueprint.post("/dev/traces")
@blueprint.post("/dev/logs")
@blueprint.post("/dev/metrics")
@blueprint.post("/v0/telemetry")
def sink() -> Response:
    """Accept an export."""
    return accept_export()


def accept_export() -> Response:
    """Accept a body: protobuf, or a JSON object or array. Raises Invalid."""
    body = request.get_data(cache=False)
    if request.mimetype == _PROTOBUF:
        return Response(b"", mimetype=_PROTOBUF)
    if body and request.mimetype == "application/json" and not request.content_encoding:
        found = canonical.loads(body)
        if not isinstance(found, dict | list):
            raise Invalid(f"the export must be an object, not {kind(found)}")
    return answer({})
