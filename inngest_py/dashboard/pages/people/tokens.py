"""The page of API tokens, for admins: make and revoke them.

A token is on the page that answers its form, and nowhere else.
"""

from collections.abc import Mapping

from flask import Response, request
from werkzeug.wrappers import Response as AnyResponse

from ....domain.access.api_tokens import NEVER, Scope
from ....domain.access.roles import Role
from ....domain.errors import Conflict, Invalid
from ....engine.admin import api_tokens
from ...deps import context, deps
from ...parts.notices import leave
from ...rendering import page, url
from ...routes import route
from ..audit import actor

_SCOPES = {
    Scope.EVENTS: "sends events, and nothing else",
    Scope.VIEWER: "reads runs, events, functions and apps",
    Scope.OPERATOR: "also changes runs, functions and apps, and sends events",
    Scope.ADMIN: "everything, also API tokens",
}
_EXPIRIES = {
    "7d": "in 7 days",
    "30d": "in 30 days",
    "90d": "in 90 days",
    "365d": "in a year",
    NEVER: "never",
}
_DEFAULT = "90d"


@route("/tokens", Role.ADMIN)
def tokens() -> Response:
    """List the API tokens."""
    return _list()


def _list(
    made: tuple[str, str] | None = None,
    status: int = 200,
    *,
    wrong: Mapping[str, str] | None = None,
) -> Response:
    """Make the page: `made` is a token with its name, `wrong` what is wrong with a field."""
    now = context().now()
    listed = [(one, one.state(now)) for one in api_tokens.every(context().db)]
    return page(
        "tokens.html",
        status,
        tokens=listed,
        made=made,
        scopes=_SCOPES,
        expiries=_EXPIRIES,
        given=request.form if wrong is not None else {"expires_in": _DEFAULT},
        wrong=wrong or {},
        needed=not deps().settings.dev and bool(deps().settings.signing_keys),
    )


@route("/tokens", Role.ADMIN, methods=("POST",))
def token_add() -> AnyResponse:
    """Make a token, and show it."""
    name, ctx = request.form.get("name", "").strip(), context()
    scope, expires_in = request.form.get("scope", ""), request.form.get("expires_in", "")
    try:
        token, made = api_tokens.add(ctx.db, name, scope, expires_in, ctx.now(), actor())
    except Invalid as error:
        return _list(None, 400, wrong={error.field or "name": error.message})
    except Conflict as error:
        return _list(None, 409, wrong={"name": error.message})
    ctx.api_tokens.forget()
    return _list((made.name, token))


@route("/tokens/<token_id>/revoke", Role.ADMIN, methods=("POST",))
def token_revoke(token_id: str) -> AnyResponse:
    """Revoke a token."""
    ctx = context()
    api_tokens.revoke(ctx.db, token_id, ctx.now(), actor())
    ctx.api_tokens.forget()
    return leave(url("tokens"), "token-revoked")
