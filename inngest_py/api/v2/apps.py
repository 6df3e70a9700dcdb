"""`GET /v2/apps` and `/apps/{id}`."""

from flask import Response
from sqlalchemy import Connection, RowMapping

from ...domain.errors import NotFound
from ...storage.queries import app_list
from ..deps import context
from . import shapes
from .common import blueprint, cursor, enveloped, flag, limit, paged


@blueprint.get("/apps")
def list_apps() -> Response:
    """List apps by name; archived ones only if asked for."""
    most, after, archived = limit(), cursor(app_list.BY_NAME), bool(flag("archived"))
    with context().db.reading() as tx:
        found = app_list.page(tx, first=most, after=after, archived=archived)
        counts = app_list.function_counts(tx, [row["id"] for row in found.rows])
    shaped = [shapes.app(row, counts.get(row["id"], 0)) for row in found.rows]
    return enveloped(shaped, paged(found.next, most))


@blueprint.get("/apps/<app_id>")
def show_app(app_id: str) -> Response:
    """Show an app."""
    with context().db.reading() as tx:
        row = find(tx, app_id)
        counts = app_list.function_counts(tx, [row["id"]])
    return enveloped(shapes.app(row, counts.get(row["id"], 0)))


def find(tx: Connection, app_id: str) -> RowMapping:
    """Find an app by its name, archived or not; raises NotFound."""
    row = app_list.by_name(tx, app_id) if app_id else None
    if row is None:
        raise NotFound(f"app {app_id[:255]!r} does not exist")
    return row
