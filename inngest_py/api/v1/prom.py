"""`GET /v1/prom/{env}`: the page of `/metrics` (protocol: api.md §2)."""

from flask import Response

from .. import metrics
from .common import blueprint


@blueprint.get("/prom/<env>")
def prom(env: str) -> Response:
    """Show the metrics; `env` is ignored, since there is one environment."""
    return metrics.page()
