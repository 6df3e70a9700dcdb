"""`/v1/tokens`: API tokens, for admins."""

from typing import TypedDict

from marshmallow import Schema, fields

from ...domain.access.api_tokens import NEVER, ApiToken, Scope
from ...engine.admin import api_tokens
from .. import shapes
from ..actors import actor
from ..deps import context
from ..errors import answer
from . import openapi

blueprint = openapi.documented("tokens", "/v1/tokens")
_LASTS = "90d"


class Given(TypedDict):
    """A body that was read."""

    name: str
    scope: str
    expires_in: str


class TokenBody(openapi.Body):
    """A token to make."""

    name = fields.String(required=True, metadata={"example": "deploys"})
    scope = fields.String(required=True, metadata={"enum": list(Scope)})
    expires_in = fields.String(
        load_default=_LASTS, metadata={"description": f"a duration such as 90d, or {NEVER}"}
    )


class TokenShown(Schema):
    """An API token; `token` is in the answer that makes it alone."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    scope = fields.String(required=True, metadata={"enum": list(Scope)})
    state = fields.String(required=True, metadata={"enum": ["active", "expired", "revoked"]})
    created_by = fields.String(required=True)
    created_at = fields.String(required=True, metadata={"format": "date-time"})
    expires_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    revoked_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    last_used_at = fields.String(
        required=True,
        allow_none=True,
        metadata={"format": "date-time", "description": "exact to a minute"},
    )
    token = fields.String()


class TokenAnswer(Schema):
    """One token."""

    data = fields.Nested(TokenShown, required=True)


class TokenList(Schema):
    """Tokens."""

    data = fields.List(fields.Nested(TokenShown), required=True)


def _shown(one: ApiToken) -> dict[str, object]:
    return {
        "id": one.id,
        "name": one.name,
        "scope": one.scope.value,
        "state": one.state(context().now()),
        "created_by": one.created_by,
        "created_at": shapes.stamp(one.created_at),
        "expires_at": shapes.stamp(one.expires_at),
        "revoked_at": shapes.stamp(one.revoked_at),
        "last_used_at": shapes.stamp(one.last_used_at),
    }


@blueprint.get("")
@blueprint.response(200, TokenList)
def list_tokens() -> object:
    """List the API tokens by name, also those that ended in the last 30 days."""
    return answer({"data": [_shown(one) for one in api_tokens.every(context().db)]})


@blueprint.post("")
@blueprint.arguments(TokenBody)
@blueprint.alt_response(400, schema=openapi.Problem)
@blueprint.alt_response(409, schema=openapi.Problem)
@blueprint.response(201, TokenAnswer)
def add_token(body: Given) -> object:
    """Make an API token; this answer alone has it."""
    ctx = context()
    token, made = api_tokens.add(
        ctx.db, body["name"], body["scope"], body["expires_in"], ctx.now(), actor()
    )
    ctx.api_tokens.forget()
    return answer({"data": {**_shown(made), "token": token}}, 201)


@blueprint.delete("/<token_id>")
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.alt_response(409, schema=openapi.Problem)
@blueprint.response(200, TokenAnswer)
def revoke_token(token_id: str) -> object:
    """Revoke an API token: other processes refuse it within ten seconds."""
    ctx = context()
    ended = api_tokens.revoke(ctx.db, token_id, ctx.now(), actor())
    ctx.api_tokens.forget()
    return answer({"data": _shown(ended)})
