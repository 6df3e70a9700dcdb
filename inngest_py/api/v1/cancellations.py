"""`/v1/cancellations`: cancel many runs of a function at once (protocol: api.md §2.3)."""

from flask import Response, request
from sqlalchemy import RowMapping

from ...domain.runs import bulk_cancellations as rules
from ...domain.values.ids import DEV_ACCOUNT_ID, DEV_ENV_ID
from ...domain.values.json_types import JsonObject
from ...engine.admin import bulk_cancel
from ...storage.queries.operations import cancellation_list
from .. import shapes
from ..actors import actor
from ..deps import context
from ..errors import answer
from .common import blueprint, body, enveloped, limit, ulid

_MOST = 1000


@blueprint.post("/cancellations")
def create() -> Response:
    """Cancel the runs of a function that started in a range, in the background."""
    ctx = context()
    return enveloped(_shape(bulk_cancel.create(ctx, rules.parse(body(), ctx.now()), actor())))


@blueprint.get("/cancellations")
def list_cancellations() -> Response:
    """List bulk cancellations, newest first."""
    after = cancellation_list.NEWEST.position_of(request.args.get("cursor"))
    with context().db.reading() as tx:
        found = cancellation_list.page(tx, first=limit(100, _MOST), after=after)
    return enveloped([_shape(row) for row in found.rows])


@blueprint.delete("/cancellations/<cancellation_id>")
def delete(cancellation_id: str) -> Response:
    """Delete a bulk cancellation: runs that it has not cancelled yet continue."""
    bulk_cancel.remove(context(), ulid(cancellation_id, "cancellation"), actor())
    return answer({"ok": True})


def _shape(row: RowMapping) -> JsonObject:
    return {
        "id": row["id"],
        "name": row["name"],
        "created_at": shapes.stamp(row["created_at"]),
        "account_id": DEV_ACCOUNT_ID,
        "environment_id": DEV_ENV_ID,
        "app_id": row["app_name"],
        "function_internal_id": row["function_id"],
        "function_id": row["function_slug"],
        "started_after": shapes.stamp(row["started_after"]),
        "started_before": shapes.stamp(row["started_before"]),
        "if": row["expression"],
        "kind": "bulk_run",
        "cause": "API",
        "cancelled": row["cancelled"],
        "finished_at": shapes.stamp(row["finished_at"]),
    }
