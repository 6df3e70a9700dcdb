"""Turn errors into answers: the only place that knows the HTTP status of an error.

Shapes by family of routes (protocol: api.md §1): errors of `/e` and `/invoke` have `ids`, those of
`/v2` are `{"errors": [{"code", "message"}]}`, all others are `{"error", "data", "status"}`.
"""

from collections.abc import Mapping

import orjson
from flask import Flask, Response, current_app, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from .. import observe
from ..domain.errors import (
    Conflict,
    InngestPyError,
    NotAllowed,
    NotFound,
    RateLimited,
    Superseded,
    TooLarge,
)
from ..domain.values.json_types import JsonObject
from ..storage.db.outages import logged, outage, public_message
from .deps import deps

# The app's extension that makes the page for a path without a route; it may return None.
LOST = "inngest_py.lost"
_MOST_PATH = 200
_STATUS: dict[type[InngestPyError], int] = {
    NotAllowed: 403,
    NotFound: 404,
    Conflict: 409,
    Superseded: 409,
    TooLarge: 413,
    RateLimited: 429,
}


def status_of(error: InngestPyError) -> int:
    """Return the status of one of our errors: 400 unless the table has another."""
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 400)


def answer(body: object, status: int = 200) -> Response:
    """Answer with JSON."""
    return Response(orjson.dumps(body), status=status, mimetype="application/json")


def public_error(
    message: str, status: int, *, code: str | None = None, data: object = None
) -> Response:
    """Answer with the public error shape."""
    body: JsonObject = {"error": message, "data": data, "status": status}
    if code is not None:
        body["code"] = code
    return answer(body, status)


# The codes of /v2 for errors that have none of their own (api.md §4).
_CODES = {400: "invalid_request", 404: "not_found", 413: "invalid_request"}


def v2_error(code: str, message: str, status: int) -> Response:
    """Answer with the error shape of /v2."""
    return answer({"errors": [{"code": code, "message": message}]}, status)


def _coded(message: str, status: int, error: Exception | None) -> Response:
    if error is None and 400 < status < 500:  # refused by the router
        return v2_error("api_error", message, status)
    other = "internal_error" if status >= 500 else "invalid_request"
    code = getattr(error, "code", None) or _CODES.get(status, other)
    return v2_error(code, message, status)


def _shaped(message: str, status: int, error: Exception | None = None) -> Response:
    if request.path.startswith(("/e/", "/invoke/")) or request.path == "/e":
        return answer({"ids": [], "status": status, "error": message}, status)
    if request.path.startswith(("/v2/", "/api/v2/")) or request.path in ("/v2", "/api/v2"):
        return _coded(message, status, error)
    field = getattr(error, "field", None)
    data = {"field": field} if field else None
    return public_error(message, status, code=getattr(error, "code", None), data=data)


def _of_http(error: HTTPException) -> Response:
    """Answer for what the router or a schema refuses; browsers may get a page for a 404 or 405."""
    page = current_app.extensions.get(LOST)
    if page is not None and error.code in (404, 405) and request.url_rule is None:
        shown: Response | None = page()
        if shown is not None:
            return shown
    data = getattr(error, "data", None) or {}
    message = str(error.description or error.name)
    if error.code == 404 and request.path.startswith(("/v2/", "/api/v2/")):
        message = error.name
    if error.code == 404 and request.path.startswith("/dev/") and not deps().settings.dev:
        message = f"{request.path[:_MOST_PATH]} is a route of dev servers alone: `inngest-py dev`"
    if data.get("messages"):
        message = _worded(data["messages"])
    shaped = _shaped(message, error.code or 500)
    for name, value in error.get_headers():
        if name.lower() == "allow":
            shaped.headers[name] = value
    return shaped


def add_to(app: Flask) -> None:
    """Register the handlers on the app."""

    @app.errorhandler(InngestPyError)
    def _ours(error: InngestPyError) -> Response:
        return _shaped(error.message, status_of(error), error)

    app.register_error_handler(HTTPException, _of_http)

    @app.errorhandler(SQLAlchemyError)
    def _database(error: SQLAlchemyError) -> Response:
        observe.event("api.database", level=40, **logged(error))
        if outage(error):
            return _shaped(f"{public_message(error)}: try again", 503)
        return _shaped("internal error", 500)

    @app.errorhandler(Exception)
    def _unforeseen(error: Exception) -> Response:
        route = None if request.url_rule is None else request.url_rule.rule
        observe.event("api.failed", level=40, route=route, **logged(error))
        return _shaped("internal error", 500)


_WHOLE = {"_schema": "the body"}  # marshmallow's name for errors of no single field


def _worded(messages: Mapping[str, object]) -> str:
    """Join marshmallow's messages: each field, with what is wrong with it."""
    parts = []
    for place, fields in messages.items():
        if isinstance(fields, dict):
            for name, found in fields.items():
                parts.append(f"{_WHOLE.get(name, name)}: {_first(found)}")
        else:
            parts.append(f"{place}: {_first(fields)}")
    return "; ".join(parts)


def _first(messages: object) -> object:
    """Return the first message of a field; messages of a list field are by the item's index."""
    while messages and isinstance(messages, list | dict):
        messages = next(iter(messages.values())) if isinstance(messages, dict) else messages[0]
    return messages
