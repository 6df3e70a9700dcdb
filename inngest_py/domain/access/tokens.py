"""JSON Web Tokens, signed with HS256, that only this server makes and reads (auth.md §6)."""

import base64
import binascii
import hashlib
import hmac
from typing import Any

import orjson

from ..errors import Invalid
from ..values import ids
from . import signatures

API = "api.inngest.com"
REALTIME = "rt.inngest.com"
_HEADER = {"alg": "HS256", "typ": "JWT"}
_MOST_CHARS = 8192
_RUN_CLAIM = "run-claim"
_CLAIM_SECONDS = 60 * 60
_SUBSCRIBE_SECONDS = 60


def secrets(keys: tuple[str, ...]) -> tuple[bytes, ...]:
    """Derive the tokens' secrets from the signing keys; without keys, in dev, from a constant."""
    return tuple(
        hashlib.sha256(b"token:" + signatures.strip_prefix(key).encode()).digest()
        for key in keys or ("dev",)
    )


def make(claims: dict[str, Any], secret: bytes) -> str:
    """Write a token; `exp`, one of the claims, is in Unix seconds."""
    signed = f"{_encoded(orjson.dumps(_HEADER))}.{_encoded(orjson.dumps(claims))}"
    return f"{signed}.{_encoded(_digest(signed, secret))}"


def read(token: str, known: tuple[bytes, ...], *, issuer: str, now_s: float) -> dict[str, Any]:
    """Check a token and return its claims. Raises Invalid, without saying which check failed."""
    signed, _, signature = token.rpartition(".")
    try:
        if len(token) > _MOST_CHARS or not token.isascii():
            raise Invalid("the token is not valid")
        given = _decoded(signature)
        found = [hmac.compare_digest(given, _digest(signed, secret)) for secret in known]
        head, body = (orjson.loads(_decoded(part)) for part in signed.split("."))
    except (ValueError, binascii.Error):
        raise Invalid("the token is not valid") from None
    if not any(found) or not isinstance(head, dict) or head.get("alg") != _HEADER["alg"]:
        raise Invalid("the token is not valid")
    if not isinstance(body, dict) or body.get("iss") != issuer:
        raise Invalid("the token is not valid")
    expires = body.get("exp")
    if not isinstance(expires, int | float) or expires <= now_s:
        raise Invalid("the token has expired")
    return body


def run_claim(run_id: str, secret: bytes, now_s: int) -> str:
    """Make a token that lets its bearer read a run's output (checkpointing.md §3.3)."""
    claims = {
        "iss": API,
        "sub": _RUN_CLAIM,
        "env": ids.DEV_ENV_ID,
        "run_id": run_id,
        "iat": now_s,
        "exp": now_s + _CLAIM_SECONDS,
    }
    return make(claims, secret)


def claimed_run(token: str, known: tuple[bytes, ...], now_s: float) -> str:
    """Return the id of the run whose output a token lets its bearer read. Raises Invalid."""
    claims = read(token, known, issuer=API, now_s=now_s)
    run_id = claims.get("run_id")
    if claims.get("sub") != _RUN_CLAIM or not isinstance(run_id, str):
        raise Invalid("the token is not valid")
    return run_id


def run_stream(run_id: str, secret: bytes, now_s: int) -> str:
    """Make a token that lets its bearer follow a run's stream (realtime.md §2, §6)."""
    claims = {
        "iss": REALTIME,
        "sub": ids.DEV_ACCOUNT_ID,
        "env": ids.DEV_ENV_ID,
        "topics": [{"channel": run_id, "name": "$stream", "kind": "run"}],
        "publish": False,
        "iat": now_s,
        "exp": now_s + _SUBSCRIBE_SECONDS,
    }
    return make(claims, secret)


def _digest(signed: str, secret: bytes) -> bytes:
    return hmac.digest(secret, signed.encode(), "sha256")


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
