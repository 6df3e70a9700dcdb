"""`GET`, `POST` and `DELETE /v1/views`: saved views of the list of runs; the same under /api/v1."""

from collections.abc import Callable

from flask import Response
from flask_smorest import Blueprint
from marshmallow import Schema, fields
from sqlalchemy import RowMapping

from ....domain.values import ids
from ....domain.values.json_types import JsonObject
from ....engine.admin import saved_views
from ... import shapes
from ...actors import actor
from ...deps import context
from ...errors import answer
from .. import openapi

native = openapi.documented("views")
blueprint = openapi.documented("v1_views", prefix="/v1")
_QUERY = {
    "description": "filters and columns, as in the URL of the dashboard's list of runs",
    "example": "status=failed&key.region=eu&col=event.data.order_id",
}


class ViewBody(openapi.Body):
    """A view to save; the server checks each field, and names the one that is wrong."""

    name = fields.Raw(metadata={"example": "Failed orders"})
    query = fields.Raw(metadata=_QUERY)


class ViewShown(Schema):
    """A saved view; `path` is that of the dashboard's list with its filters."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    query = fields.String(required=True, metadata=_QUERY)
    path = fields.String(required=True)
    owner = fields.String(required=True)
    created_at = fields.String(required=True)


class ViewList(Schema):
    """All views, by name."""

    data = fields.List(fields.Nested(ViewShown), required=True)


class ViewKey(Schema):
    """The id of a view."""

    id = fields.String(required=True)


class ViewAnswer(Schema):
    """Which view was saved or deleted."""

    data = fields.Nested(ViewKey, required=True)


def _shape(row: RowMapping) -> JsonObject:
    return {name: row[name] for name in ("id", "name", "query", "owner")} | {
        "path": f"/runs?{row['query']}",
        "created_at": shapes.stamp(row["created_at"]),
    }


def listed() -> Response:
    """List the saved views of the list of runs, which all users share."""
    with context().db.reading() as tx:
        rows = saved_views.every(tx)
    return answer({"data": [_shape(row) for row in rows]})


def save(body: JsonObject) -> Response:
    """Save filters and columns of the list of runs under a name, for all users."""
    made = saved_views.add(context(), body.get("name"), body.get("query"), actor())
    found = answer({"data": {"id": made}})
    found.status_code = 201
    return found


def remove(view_id: str) -> Response:
    """Delete a saved view."""
    ids.check_ulid(view_id, "a view's id", "id")
    saved_views.remove(context(), view_id, actor(), any_owner=True)
    return answer({"data": {"id": view_id}})


def _documented(routes: Blueprint, view: Callable[..., Response], *codes: int) -> object:
    for code in codes:
        view = routes.alt_response(code, schema=openapi.Problem)(view)
    return view


def _add_to(routes: Blueprint) -> None:
    """Add the routes to a blueprint."""
    routes.get("/views")(routes.response(200, ViewList)(listed))
    saved = routes.response(201, ViewAnswer)(_documented(routes, save, 400, 409))
    routes.post("/views")(routes.arguments(ViewBody)(saved))
    removed = routes.response(200, ViewAnswer)(_documented(routes, remove, 400, 404))
    routes.delete("/views/<view_id>")(removed)


for _routes in (native, blueprint):
    _add_to(_routes)
