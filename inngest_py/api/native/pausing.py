"""`POST /v1/functions/{id}/pause` and `/resume`, and the same routes under /api/v1.

The id is the function's UUID or slug.
"""

from flask import Blueprint, Response

from ...domain.errors import NotFound
from ...domain.values.json_types import JsonObject
from ...engine.admin import pause_function
from ...storage.queries import function_list
from .. import shapes
from ..actors import actor
from ..deps import context
from ..errors import answer
from . import openapi

blueprint = Blueprint("pausing", __name__, url_prefix="/v1/functions")
native = openapi.documented("functions")


def _shown(function_id: str) -> JsonObject:
    with context().db.reading() as tx:
        row = function_list.get(tx, function_id)
    if row is None:
        raise NotFound(f"function {function_id} does not exist")
    return shapes.function(row, context().now())


def _enveloped(function_id: str) -> Response:
    fetched = {"fetched_at": shapes.stamp(context().now())}
    return answer({"data": _shown(function_id), "metadata": fetched})


@blueprint.post("/<path:function>/pause")
@openapi.PARSER.use_args(openapi.PauseBody)
def pause(body: dict[str, str], function: str) -> Response:
    """Pause a function."""
    return _enveloped(pause_function.pause(context(), function, body["events"], actor()))


@blueprint.post("/<path:function>/resume")
def resume(function: str) -> Response:
    """Resume a function."""
    return _enveloped(pause_function.resume(context(), function, actor()))


@native.post("/functions/<path:function>/pause")
@native.arguments(openapi.PauseBody)
@native.alt_response(400, schema=openapi.Problem)
@native.alt_response(404, schema=openapi.Problem)
@native.response(200, openapi.FunctionShownAnswer)
def pause_native(body: dict[str, str], function: str) -> Response:
    """Pause a function, given by UUID or slug.

    Its queued items wait; a call in flight may finish. Cron ticks are skipped.
    """
    return answer(
        {"data": _shown(pause_function.pause(context(), function, body["events"], actor()))}
    )


@native.post("/functions/<path:function>/resume")
@native.alt_response(400, schema=openapi.Problem)
@native.alt_response(404, schema=openapi.Problem)
@native.response(200, openapi.FunctionShownAnswer)
def resume_native(function: str) -> Response:
    """Resume a function, given by UUID or slug; items that waited for it are due at once."""
    return answer({"data": _shown(pause_function.resume(context(), function, actor()))})
