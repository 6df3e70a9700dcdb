"""`GET /v2/apps` and `/apps/{id}`."""

from flask import Response
from sqlalchemy import Connection, RowMapping

from ...domain.errors import NotFound
from ...storage.catalog import functions
from ...storage.queries import catalog_pages
from ..deps import context
from . import shapes
from .common import blueprint, cursor, enveloped, flag, limit, page


@blueprint.get("/apps")
def list_apps() -> Response:
    """List apps by name; archived ones only if asked for."""
    most, place = limit(), cursor((str,))
    with context().db.reading() as tx:
        found = catalog_pages.apps(
            tx,
            limit=most + 1,
            after=place[0] if place else None,
            archived=bool(flag("archived")),
        )
        counts = catalog_pages.function_counts(tx, [row["id"] for row in found])
    shown = found[:most]
    return enveloped(
        [shapes.app(row, counts.get(row["id"], 0)) for row in shown],
        page(found, most, [shown[-1]["name"]] if shown else None),
    )


@blueprint.get("/apps/<app_id>")
def show_app(app_id: str) -> Response:
    """Show an app."""
    with context().db.reading() as tx:
        row = find(tx, app_id)
        counts = catalog_pages.function_counts(tx, [row["id"]])
    return enveloped(shapes.app(row, counts.get(row["id"], 0)))


def find(tx: Connection, app_id: str) -> RowMapping:
    """Find an app by its name, archived or not; raises NotFound."""
    row = functions.app_by_name(tx, app_id) if app_id else None
    if row is None:
        raise NotFound(f"app {app_id[:255]!r} does not exist")
    return row
