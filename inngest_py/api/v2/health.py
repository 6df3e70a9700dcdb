"""`GET /v2/health`."""

from flask import Response

from .common import blueprint, enveloped


@blueprint.get("/health")
def health() -> Response:
    """Say that the API answers; `GET /health` checks database, broker and workers, too."""
    return enveloped({"status": "ok"})
