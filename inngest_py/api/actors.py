"""Who acts through the API: which key a request has, from where, and who its sender claims to be.

The audit log has a key by its fingerprint, which tells nothing of the key itself.
"""

import hashlib
import hmac

from flask import request

from .. import proxies
from ..domain.access import signatures
from ..domain.access.roles import CLAIM
from ..engine.runtime.audit import Actor
from .deps import deps

_DIGITS = 8
_LONGEST_CLAIM = 64


def fingerprint(key: str) -> str:
    """Name a signing key: the first digits of the SHA-256 of its hash."""
    return hashlib.sha256(signatures.bearer(key).encode()).hexdigest()[:_DIGITS]


def actor() -> Actor:
    """Say who acts: the engine notes it with the act."""
    key = bearer_key()
    name = "anybody" if key is None else f"signing key {fingerprint(key)}"
    claim = "".join(char for char in request.headers.get(CLAIM, "") if char.isprintable())
    return Actor(name, proxies.client(deps().settings, request), claim[:_LONGEST_CLAIM].strip())


def bearer_key() -> str | None:
    """Find the signing key that the request's bearer is, hashed or plain; None when it is none.

    Compares with every key, so that time tells nothing about which one was close.
    """
    given = signatures.strip_prefix(bearer()).encode(errors="surrogatepass")
    found = None
    for key in deps().settings.signing_keys:
        for form in (signatures.bearer(key), signatures.strip_prefix(key)):
            if hmac.compare_digest(given, form.encode()):
                found = key
    return found


def bearer() -> str:
    """Read the request's bearer, which is no key yet; empty when there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
