"""Errors as answers: the only place that knows which status an error has.

Shapes by family (protocol: api.md §1): `/e` and `/invoke` carry `ids`; everything else answers
the public error `{"error", "data", "status"}`.
"""

from typing import Any

import orjson
from flask import Flask, Response, request
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from .. import observe
from ..domain.errors import InngestPyError, Invalid, NotFound
from ..storage.session import outage


def answer(body: Any, status: int = 200) -> Response:
    """Answer with JSON."""
    return Response(orjson.dumps(body), status=status, mimetype="application/json")


def public(message: str, status: int, *, code: str | None = None, data: Any = None) -> Response:
    """Answer with the public error shape."""
    body: dict[str, Any] = {"error": message, "data": data, "status": status}
    if code is not None:
        body["code"] = code
    return answer(body, status)


def _shaped(message: str, status: int, error: Exception | None = None) -> Response:
    if request.path.startswith(("/e/", "/invoke/")) or request.path == "/e":
        return answer({"ids": [], "status": status, "error": message}, status)
    field = getattr(error, "field", None)
    data = {"field": field} if field else None
    return public(message, status, code=getattr(error, "code", None), data=data)


def add_to(app: Flask) -> None:
    """Register the handlers on the app."""

    @app.errorhandler(InngestPyError)
    def _ours(error: InngestPyError) -> Response:
        status = {NotFound: 404, Invalid: 400}.get(type(error), 400)
        return _shaped(error.message, status, error)

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        data = getattr(error, "data", None) or {}
        message = str(error.description or error.name)
        if data.get("messages"):
            message = _worded(data["messages"])
        shaped = _shaped(message, error.code or 500)
        for name, value in error.get_headers():
            if name.lower() == "allow":
                shaped.headers[name] = value
        return shaped

    @app.errorhandler(DBAPIError)
    def _database(error: DBAPIError) -> Response:
        observe.event("api.database", level=40, error=type(error.orig).__name__)
        if outage(error):
            return _shaped("the database cannot be reached: try again", 503)
        return _shaped("internal error", 500)

    @app.errorhandler(Exception)
    def _unforeseen(error: Exception) -> Response:
        app.logger.exception("unforeseen error", exc_info=error)
        return _shaped("internal error", 500)


def _worded(messages: Any) -> str:
    """Word marshmallow's messages: each field with what is wrong with it."""
    parts = []
    for place, fields in messages.items():
        if isinstance(fields, dict):
            for name, told in fields.items():
                first = told[0] if isinstance(told, list) and told else told
                parts.append(f"{name}: {first}")
        else:
            first = fields[0] if isinstance(fields, list) and fields else fields
            parts.append(f"{place}: {first}")
    return "; ".join(parts)
