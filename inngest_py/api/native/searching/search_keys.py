"""`GET`, `PUT` and `DELETE /v1/functions/{id}/search-keys`, and the same under /api/v1.

The id is the function's UUID or slug.
"""

from collections.abc import Callable

from flask import Response
from flask_smorest import Blueprint
from marshmallow import Schema, fields

from ....domain.functions.search_keys import Pair
from ....domain.values.json_types import JsonObject
from ....engine.admin import search_keys
from ....engine.admin.search_keys import ShownKeys
from ...actors import actor
from ...deps import context
from ...errors import answer
from .. import openapi

native = openapi.documented("search_keys")
blueprint = openapi.documented("v1_search_keys", prefix="/v1")
_EXAMPLE = {"order_id": "event.data.order_id"}
PREFIX = "key."


class SearchKeysBody(openapi.Body):
    """All search keys of a function."""

    class Meta:
        """Unknown fields are refused by name."""

        unknown = "include"

    keys = fields.Raw(
        required=True, metadata={"example": _EXAMPLE, "description": "paths in the event by name"}
    )


class SearchKeyShown(Schema):
    """A key; `done` of `total` runs from before its declaration have been indexed."""

    name = fields.String(required=True)
    path = fields.String(required=True, metadata={"example": "event.data.order_id"})
    indexed = fields.Boolean(required=True, metadata={"description": "whether all runs are"})
    done = fields.Integer(required=True)
    total = fields.Integer(
        required=True, allow_none=True, metadata={"description": "null: not counted yet"}
    )


class SearchKeysShown(Schema):
    """A function's search keys, by name."""

    id = fields.String(required=True, metadata={"description": "the slug"})
    internal_id = fields.String(required=True)
    keys = fields.List(fields.Nested(SearchKeyShown), required=True)


class SearchKeysAnswer(Schema):
    """A function's search keys."""

    data = fields.Nested(SearchKeysShown, required=True)


def pairs_of(listed: list[str], named: list[tuple[str, str]]) -> list[Pair]:
    """Read the keys of a query: `key=order_id:A-1001`, or `key.order_id=A-1001`."""
    found = [one.partition(":") for one in listed]
    pairs = [(name, value) for name, _, value in found]
    pairs += [
        (name.removeprefix(PREFIX), value) for name, value in named if name.startswith(PREFIX)
    ]
    return pairs


def _shape(found: ShownKeys) -> Response:
    keys: list[JsonObject] = [
        {
            "name": key.name,
            "path": key.path,
            "indexed": key.is_indexed,
            "done": key.done,
            "total": key.total,
        }
        for key in found.keys
    ]
    return answer({"data": {"id": found.slug, "internal_id": found.function_id, "keys": keys}})


def show(function: str) -> Response:
    """Show a function's search keys, and how many of its older runs are indexed by them."""
    return _shape(search_keys.show(context(), function))


def put(body: JsonObject, function: str) -> Response:
    """Declare all search keys of a function, in place of those that it has.

    New runs have their values at once; the runs from before are indexed in the background. A sync
    of the app keeps the keys.
    """
    return _shape(search_keys.put(context(), function, body, actor()))


def remove(function: str) -> Response:
    """Remove all search keys of a function; their values are deleted in the background."""
    return _shape(search_keys.remove(context(), function, actor()))


def _add_to(routes: Blueprint) -> None:
    """Add the routes to a blueprint."""
    path = "/functions/<path:function>/search-keys"
    for method, view in ((routes.get, show), (routes.put, put), (routes.delete, remove)):
        made: Callable[..., object] = view
        for code in (400, 404):
            made = routes.alt_response(code, schema=openapi.Problem)(made)
        made = routes.response(200, SearchKeysAnswer)(made)
        method(path)(routes.arguments(SearchKeysBody)(made) if view is put else made)


for _routes in (native, blueprint):
    _add_to(_routes)
