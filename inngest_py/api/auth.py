"""Who may call: event keys in the path, the hashed signing key as bearer (protocol: auth.md)."""

import hmac

from flask import Response, request

from ..domain import signing
from .deps import deps
from .errors import answer


def refuse_event_key(key: str) -> Response | None:
    """Refuse an event key that is not configured (events.md §2); None when it may pass."""
    keys = deps().settings.event_keys
    if deps().settings.dev or not keys:
        return None
    given = key.encode()
    # every key is compared, so that time tells nothing about which one was close
    found = False
    for known in keys:
        found |= hmac.compare_digest(given, known.encode())
    if found:
        return None
    return answer({"status": 401, "message": "", "error": "Event key not found"}, 401)


def refuse_bearer() -> Response | None:
    """Refuse a caller without the signing key (auth.md §1.2); None when it may pass."""
    settings = deps().settings
    if settings.dev or settings.signing_key is None:
        return None
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    given = signing.strip_prefix(token.strip()).encode()
    plain = signing.strip_prefix(settings.signing_key).encode()
    hashed = signing.bearer(settings.signing_key).encode()
    allowed = hmac.compare_digest(given, hashed) | hmac.compare_digest(given, plain)
    if scheme.lower() == "bearer" and allowed:
        return None
    return Response("Authentication failed", status=401, mimetype="text/plain")
