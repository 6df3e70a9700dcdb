"""`GET /metrics`, for Prometheus; `/v1/prom/{env}` is the same page (api.md §2)."""

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from .deps import deps

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Show the database's figures and the counters of this process."""
    return page()


def page() -> Response:
    """Make the page."""
    text = b"".join(generate_latest(registry) for registry in deps().metrics)
    return Response(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)
