"""The forms of a function's page: pause, resume, invoke, and override its limits."""

from flask import request
from werkzeug.wrappers import Response as AnyResponse

from ...domain.access.roles import Role
from ...domain.errors import Conflict, Invalid
from ...domain.values import canonical
from ...engine.admin import limit_overrides, pause_function
from ...engine.flow.arrivals import SKIP
from ...engine.intake.invoke import invoke
from ..deps import context, read
from ..parts.form_errors import wrong_fields
from ..parts.limit_words import TERMS
from ..parts.notices import leave
from ..rendering import url
from ..routes import route
from .audit import actor
from .functions import find, show


@route("/functions/<function_id>/pause", Role.OPERATOR, methods=("POST",))
def function_pause(function_id: str) -> AnyResponse:
    """Pause a function; the form says whether new events are skipped or held."""
    events = request.form.get("events", SKIP)
    row = read(lambda tx: find(tx, function_id))
    pause_function.pause(context(), row["id"], events, actor())
    return leave(url("function", function_id=row["id"]), "paused")


@route("/functions/<function_id>/resume", Role.OPERATOR, methods=("POST",))
def function_resume(function_id: str) -> AnyResponse:
    """Resume a function."""
    row = read(lambda tx: find(tx, function_id))
    pause_function.resume(context(), row["id"], actor())
    return leave(url("function", function_id=row["id"]), "resumed")


@route("/functions/<function_id>/invoke", Role.OPERATOR, methods=("POST",))
def function_invoke(function_id: str) -> AnyResponse:
    """Invoke a function with data."""
    row = read(lambda tx: find(tx, function_id))
    text = request.form.get("data", "").strip()
    try:
        data = _data(text)
        made = invoke(context(), row["id"], {"data": data}, len(text.encode()), by=actor())
    except (Invalid, Conflict) as error:
        return show(function_id, status=400, not_invoked=error.message)
    if made.run_id is None:
        return leave(url("event", event_id=made.event_id), "invoked")
    return leave(url("run", run_id=made.run_id), "invoked")


@route("/functions/<function_id>/limits", Role.OPERATOR, methods=("POST",))
def function_limits(function_id: str) -> AnyResponse:
    """Override limits of a function, in place of any other override."""
    term = request.form.get("term", "")
    try:
        wanted = canonical.loads(request.form.get("limits", "").strip() or "{}")
        if term not in TERMS:
            raise Invalid(f"term must be one of {', '.join(TERMS)}", field="term")
        if isinstance(wanted, dict):
            wanted |= {"by": actor().name} | ({"expiresIn": term} if term else {})
        limit_overrides.put(context(), function_id, wanted, actor())
    except Invalid as error:
        told = wrong_fields(error, ("term",), "limits")
        return show(function_id, f"limits: {error.message}", 400, wrong=told)
    return leave(url("function", function_id=function_id), "overridden")


@route("/functions/<function_id>/limits/restore", Role.OPERATOR, methods=("POST",))
def function_restore(function_id: str) -> AnyResponse:
    """Undo an override."""
    limit_overrides.remove(context(), function_id, actor())
    return leave(url("function", function_id=function_id), "restored")


def _data(text: str) -> object:
    try:
        return canonical.loads(text) if text else {}
    except Invalid as error:
        raise Invalid(f"the data {canonical.told(error)}", field="data") from None
