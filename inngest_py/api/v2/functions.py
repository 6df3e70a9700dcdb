"""`GET /v2/apps/{id}/functions` and `…/functions/{id}`."""

from collections.abc import Sequence

from flask import Response
from sqlalchemy import Connection, RowMapping

from ...domain.errors import NotFound
from ...storage.queries import function_list
from ..deps import context
from . import apps, shapes
from .common import blueprint, cursor, enveloped, flag, limit, paged


@blueprint.get("/apps/<app_id>/functions")
def list_functions(app_id: str) -> Response:
    """List an app's functions by slug; archived ones only if asked for."""
    most, after, archived = limit(), cursor(function_list.BY_SLUG), bool(flag("archived"))
    with context().db.reading() as tx:
        app = apps.find(tx, app_id)
        found = function_list.page(tx, app["id"], first=most, after=after, archived=archived)
        handlers = _handlers(tx, app["id"], found.rows)
    shaped = [shapes.function(row, handlers, context().now()) for row in found.rows]
    return enveloped(shaped, paged(found.next, most))


@blueprint.get("/apps/<app_id>/functions/<function_id>")
def show_function(app_id: str, function_id: str) -> Response:
    """Show a function."""
    with context().db.reading() as tx:
        row = find(tx, app_id, function_id)
        handlers = _handlers(tx, row["app_id"], [row])
    return enveloped(shapes.function(row, handlers, context().now()))


def find(tx: Connection, app_id: str, function_id: str) -> RowMapping:
    """Find an app's function by its slug, with or without the app's name; raises NotFound."""
    app = apps.find(tx, app_id)
    slugs = [f"{app_id}-{function_id}", function_id]
    found = function_list.by_slugs(tx, app["id"], slugs)
    if not found:
        raise NotFound(f"function {function_id[:255]!r} does not exist")
    return min(found, key=lambda row: slugs.index(row["slug"]))


def _handlers(tx: Connection, app_uuid: str, rows: Sequence[RowMapping]) -> dict[str, str]:
    slugs = [f"{row['slug']}-failure" for row in rows]
    return shapes.handlers(function_list.by_slugs(tx, app_uuid, slugs))
