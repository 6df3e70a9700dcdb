"""`POST /v1/runs/{id}/metadata`: metadata that code attaches to a run (protocol: api.md §2)."""

from flask import Response

from ...domain.runs import metadata as rules
from ...engine.work.metadata import annotate
from ..deps import context
from ..errors import answer
from .common import blueprint, body, ulid


@blueprint.post("/runs/<run_id>/metadata")
def add(run_id: str) -> Response:
    """Add to the metadata of a run, a step or a span."""
    ulid(run_id, "run")
    target, updates = rules.parse(body())
    annotate(context(), run_id, [(target, update) for update in updates])
    return answer({"ok": True})
