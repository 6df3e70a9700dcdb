"""Let callers in by an API token, in the place of a key.

What has not the prefix of tokens is no token, and costs nothing. That a token was used is written
after the answer has left, once a minute: no request waits for it.
"""

from collections.abc import Callable

from flask import Response, after_this_request, g
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import Forbidden, Unauthorized

from .. import observe
from ..domain.access import api_tokens as rules
from ..domain.access.api_tokens import ApiToken
from ..domain.access.roles import Role
from ..storage.db import deadlines
from ..storage.db.outages import logged
from .actors import bearer
from .deps import context
from .refusals import note_refusal

_NOTE_SECONDS = 2.0  # how long the database may take to note a use


def lets_in(wanted: Role | None) -> bool:
    """Say whether the caller has a token of this role; False for a caller without a token.

    None is for sending events. Raises Unauthorized for a token that is unknown or has ended, and
    Forbidden for one that may do less.
    """
    if wanted is None:
        return may_send_events("")
    token = _checked(bearer())
    if token is None:
        return False
    if not token.scope.may(wanted):
        note_refusal("API token")
        raise Forbidden(f"this needs the role {wanted}, and the API token {_named(token)}")
    return True


def may_send_events(key: str) -> bool:
    """Say whether the caller may send events by a token: the bearer token, or the key in the path.

    Raises as lets_in() does.
    """
    token = _checked(bearer()) or _checked(key)
    if token is None:
        return False
    if not token.scope.may_send_events():
        note_refusal("API token")
        wanted = f"the scope {rules.Scope.EVENTS} or the role {Role.OPERATOR}"
        raise Forbidden(f"this needs {wanted}, and the API token {_named(token)}")
    return True


def _named(token: ApiToken) -> str:
    may_only = token.scope is rules.Scope.EVENTS
    return f"{token.name} may only send events" if may_only else f"{token.name} is {token.scope}"


def _checked(given: str) -> ApiToken | None:
    if not rules.looks_like(given):
        return None
    ctx = context()
    now = ctx.now()
    token = ctx.api_tokens.find(ctx.db, given)
    refusal = "the API token is unknown here" if token is None else token.refusal(now)
    if token is None or refusal is not None:
        note_refusal("API token")
        raise Unauthorized(f"{refusal}: make a new one (inngest-py tokens add)")
    g.api_token = token
    if ctx.api_tokens.is_to_be_noted(token, now):
        after_this_request(_noting(token))
    return token


def _noting(token: ApiToken) -> Callable[[Response], Response]:
    ctx = context()

    def note() -> None:
        try:
            with deadlines.within(_NOTE_SECONDS):
                ctx.api_tokens.note_use(ctx.db, token, ctx.now())
        except SQLAlchemyError as error:
            observe.event("api_token.not_noted", level=30, token=token.name, **logged(error))

    def add(response: Response) -> Response:
        response.call_on_close(note)
        return response

    return add
