"""Who acts through the API: a request's key or API token, its address, and the name it claims.

The audit log shows a key by its fingerprint, which reveals nothing about the key.
"""

import hashlib
import hmac

from flask import g, request

from .. import proxies
from ..domain.access import signatures
from ..domain.access.api_tokens import ApiToken
from ..domain.access.roles import CLAIM
from ..engine.runtime.audit import Actor
from .deps import deps

_DIGITS = 8
_LONGEST_CLAIM = 64


def fingerprint(key: str) -> str:
    """Return the fingerprint of a signing key: the first digits of the SHA-256 of its hash."""
    return hashlib.sha256(signatures.bearer(key).encode()).hexdigest()[:_DIGITS]


def actor() -> Actor:
    """Return who acts; the engine writes it to the audit log with the act."""
    key, token = bearer_key(), used_token()
    name = "anybody" if key is None else f"signing key {fingerprint(key)}"
    if token is not None:
        name = f"API token {token.name}"
    claim = "".join(char for char in request.headers.get(CLAIM, "") if char.isprintable())
    return Actor(
        name, proxies.client_address(deps().settings, request), claim[:_LONGEST_CLAIM].strip()
    )


def bearer_key() -> str | None:
    """Return the signing key that is the request's bearer token, hashed or plain; None if none is.

    Compares with every key, so that the time taken does not reveal which key was close.
    """
    given = signatures.strip_prefix(bearer()).encode(errors="surrogatepass")
    found = None
    for key in deps().settings.signing_keys:
        for form in (signatures.bearer(key), signatures.strip_prefix(key)):
            if hmac.compare_digest(given, form.encode()):
                found = key
    return found


def used_token() -> ApiToken | None:
    """Return the API token by which the caller was let in; None if it was not by one."""
    found: ApiToken | None = g.get("api_token")
    return found


def bearer() -> str:
    """Read the request's bearer token, not yet checked; empty if there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
