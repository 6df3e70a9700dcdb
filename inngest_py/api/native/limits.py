"""`GET`, `PUT` and `DELETE /v1/functions/{id}/limits`, and the same routes under /api/v1.

The id is the function's UUID or slug.
"""

from flask import Blueprint, Response, request

from ...domain.values import canonical
from ...domain.values.json_types import JsonObject
from ...engine.admin import limit_overrides
from ...engine.admin.limit_overrides import FunctionLimits
from .. import shapes
from ..actors import actor
from ..deps import context
from ..errors import answer
from . import openapi

blueprint = Blueprint("v1_limits", __name__, url_prefix="/v1/functions")
native = openapi.documented("limits")


def _enveloped(limits: FunctionLimits) -> Response:
    fetched = {"fetched_at": shapes.stamp(context().now())}
    return answer({"data": _shape(limits), "metadata": fetched})


def _shape(limits: FunctionLimits) -> JsonObject:
    shown = shapes.limits(limits)
    return {"id": limits.function.slug, "internal_id": limits.function.id, **shown}


@blueprint.get("/<path:function>/limits")
def show(function: str) -> Response:
    """Show a function's limits."""
    return _enveloped(limit_overrides.show(context(), function))


@blueprint.put("/<path:function>/limits")
def put(function: str) -> Response:
    """Override a function's limits."""
    body = canonical.loads(request.get_data(cache=False))
    return _enveloped(limit_overrides.put(context(), function, body, actor()))


@blueprint.delete("/<path:function>/limits")
def remove(function: str) -> Response:
    """Undo the override."""
    return _enveloped(limit_overrides.remove(context(), function, actor()))


@native.get("/functions/<path:function>/limits")
@native.alt_response(400, schema=openapi.Problem)
@native.alt_response(404, schema=openapi.Problem)
@native.response(200, openapi.LimitsAnswer)
def show_native(function: str) -> Response:
    """Show a function's limits: as registered, what overrides them, and what is in force."""
    return answer({"data": _shape(limit_overrides.show(context(), function))})


@native.put("/functions/<path:function>/limits")
@native.arguments(openapi.LimitsBody)
@native.alt_response(400, schema=openapi.Problem)
@native.alt_response(404, schema=openapi.Problem)
@native.response(200, openapi.LimitsAnswer)
def put_native(body: JsonObject, function: str) -> Response:
    """Override a function's limits without a deploy, in place of any other override.

    Waiting items follow the new limits at once; a running step keeps its slot. A limit with another
    key counts for runs that have not begun; runs that have begun keep their keys. A sync does not
    end an override.
    """
    return answer({"data": _shape(limit_overrides.put(context(), function, body, actor()))})


@native.delete("/functions/<path:function>/limits")
@native.alt_response(400, schema=openapi.Problem)
@native.alt_response(404, schema=openapi.Problem)
@native.response(200, openapi.LimitsAnswer)
def remove_native(function: str) -> Response:
    """Undo the override of a function's limits, if there is one."""
    return answer({"data": _shape(limit_overrides.remove(context(), function, actor()))})
