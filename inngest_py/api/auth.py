"""Check keys: event keys in the path, the signing key as bearer token (protocol: auth.md).

Every route asks for the bearer token unless it is listed as open. So no new route can be left open
by mistake. An API token is accepted in place of a key, as far as its scope goes.
"""

import hmac

from flask import Response, current_app, request

from ..config_checks import is_off
from ..domain.access.roles import Role
from . import api_tokens, token_roles
from .actors import bearer, bearer_key
from .deps import deps
from .errors import answer
from .refusals import note_refusal

# auth.md §1.2, and the description of the API, which has nothing about this server
OPEN = frozenset(
    {
        "/e/<path:key>",  # asks for an event key
        "/invoke/<path:slug>",  # asks for a key of its own
        "/health",
        "/health/live",
        "/health/ready",
        "/v1/checkpoint/<run_id>/output",  # asks for the run's own token
        "/v1/http/runs/<run_id>/output",
        "/v1/realtime/connect",  # these two ask for a token
        "/v1/realtime/sse",
        "/v1/realtime/publish",  # these two for the signing key or a token
        "/v1/realtime/publish/tee",
        "/api/openapi.json",
        "/api/docs",
        "/api/docs-files/<path:name>",
    }
)
METRICS = frozenset({"/metrics", "/v1/prom/<env>"})  # open if the settings say so

# The app's extension with guards of blueprints, by blueprint name: called instead of the key check.
GUARDS = "inngest_py.guards"


def refuse_event_key(key: str) -> Response | None:
    """Refuse an event key that is not configured (events.md §2); None if the key is good."""
    keys = deps().settings.event_keys
    if deps().settings.dev or not keys:
        return None
    if _among(key, keys) or api_tokens.may_send_events(key):
        return None
    note_refusal("event key")
    return answer({"status": 401, "message": "", "error": "Event key not found"}, 401)


def refuse_invocation() -> Response | None:
    """Refuse a caller that may not invoke, with 404 if /invoke is closed; None if it may.

    The bearer token is a key of /invoke, or the signing key, which opens everything.
    """
    settings = deps().settings
    if any(is_off(key) for key in settings.invoke_keys):
        message = "/invoke is closed on this server (--invoke-key off)"
        return answer({"ids": [], "status": 404, "error": message}, 404)
    keys = settings.invoke_keys or settings.event_keys
    if settings.dev or not keys or _among(bearer(), keys) or bearer_key() is not None:
        return None
    if api_tokens.lets_in(Role.OPERATOR):
        return None
    note_refusal("invoke key")
    message = "Invoke key not found: send it as Authorization: Bearer"
    return answer({"ids": [], "status": 401, "error": message}, 401)


def refuse_bearer() -> Response | None:
    """Refuse a caller without a signing key (auth.md §1.2); None if the caller may pass.

    The key may be hashed or plain, with any prefix. The fallback key is accepted, too, so that
    apps can get a new key before or after the server. An API token needs the role of the route:
    raises Unauthorized and Forbidden for one that will not do.
    """
    guard = current_app.extensions.get(GUARDS, {}).get(request.blueprint)
    if guard is not None:
        answered: Response | None = guard()
        return answered
    settings = deps().settings
    if not needs_key():
        return None
    if request.url_rule is None or request.url_rule.rule in OPEN:
        return None
    if settings.open_gql and request.url_rule.rule == "/v0/gql":
        return None
    if settings.metrics_open and request.url_rule.rule in METRICS:
        return None
    if bearer_key() is not None:
        return None
    if api_tokens.lets_in(token_roles.needed(request.method, request.url_rule.rule)):
        return None
    note_refusal("signing key")
    return Response("Authentication failed", status=401, mimetype="text/plain")


def needs_key() -> bool:
    """Say whether callers need the signing key."""
    settings = deps().settings
    return not settings.dev and bool(settings.signing_keys)


def _among(given: str, known: tuple[str, ...]) -> bool:
    """Compare with every key, so that the time taken does not reveal which key was close."""
    found = False
    for key in known:
        found |= hmac.compare_digest(given.encode(errors="surrogatepass"), key.encode())
    return found
