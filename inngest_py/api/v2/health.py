"""`GET /v2/health`."""

from flask import Response

from .common import blueprint, enveloped


@blueprint.get("/health")
def health() -> Response:
    """Say that the API answers; `GET /health` looks at what stands behind it."""
    return enveloped({"status": "ok"})
