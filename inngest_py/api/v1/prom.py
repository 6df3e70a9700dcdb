"""`GET /v1/prom/{env}`: the page of `/metrics` (protocol: api.md §2)."""

from flask import Response

from .. import metrics
from .common import blueprint


@blueprint.get("/prom/<env>")
def prom(env: str) -> Response:
    """Show the metrics; there is one environment, whatever it is called."""
    return metrics.page()
