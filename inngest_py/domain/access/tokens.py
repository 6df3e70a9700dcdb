"""JSON Web Tokens, signed with HS256, that only this server makes and reads (auth.md §6)."""

import hashlib
from collections.abc import Sequence

import jwt
from jwt.types import Options

from ..errors import Invalid
from ..values import ids
from ..values.json_types import JsonObject
from . import signatures

API = "api.inngest.com"
REALTIME = "rt.inngest.com"
CONNECT = "connect.inngest.com"
_GATEWAY = "gateway.connect.inngest.com"
_SYNC = "api.inngest.com"
_ALGORITHM = "HS256"
_MOST_CHARS = 8192
_MOST_URL_CHARS = 7500  # a request's first line, with the token in its URL, may have 8192
_RUN_CLAIM = "run-claim"
_CLAIM_SECONDS = 60 * 60
_SUBSCRIBE_SECONDS = 60
_CONNECT_SECONDS = 5 * 60
# PyJWT would compare these times with a clock of its own; who reads a token checks its audience
_WITHOUT_CLOCK: Options = {
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
}


def secrets(keys: tuple[str, ...]) -> tuple[bytes, ...]:
    """Derive the tokens' secrets from the signing keys; without keys, in dev, from a constant."""
    return tuple(
        hashlib.sha256(b"token:" + signatures.strip_prefix(key).encode()).digest()
        for key in keys or ("dev",)
    )


def make(claims: JsonObject, secret: bytes) -> str:
    """Write a token; `exp`, one of the claims, is in Unix seconds."""
    return jwt.encode(claims, secret, _ALGORITHM)


def read(token: str, known: tuple[bytes, ...], *, issuer: str, now_s: float) -> JsonObject:
    """Check a token and return its claims. Raises Invalid, without saying which check failed."""
    if len(token) > _MOST_CHARS or not token.isascii():
        raise Invalid("the token is not valid")
    claims = next((found for secret in known if (found := _claims(token, secret, issuer))), None)
    if claims is None:
        raise Invalid("the token is not valid")
    expires = claims.get("exp")
    if not isinstance(expires, int | float) or expires <= now_s:
        raise Invalid("the token has expired")
    return claims


def _claims(token: str, secret: bytes, issuer: str) -> JsonObject | None:
    try:
        return jwt.decode(token, secret, [_ALGORITHM], _WITHOUT_CLOCK, issuer=issuer)
    except jwt.InvalidTokenError:
        return None


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
    topics: list[JsonObject] = [{"channel": run_id, "name": "$stream", "kind": "run"}]
    return realtime(topics, secret, now_s, publish=False)


def realtime(topics: Sequence[JsonObject], secret: bytes, now_s: int, *, publish: bool) -> str:
    """Make a token that lets its bearer subscribe to topics, or publish to them (realtime.md §2).

    Raises Invalid for so many topics that the token would be too long to be read.
    """
    made = make(
        {
            "iss": REALTIME,
            "sub": ids.DEV_ACCOUNT_ID,
            "env": ids.DEV_ENV_ID,
            "topics": topics,
            "publish": publish,
            "iat": now_s,
            "exp": now_s + _SUBSCRIBE_SECONDS,
        },
        secret,
    )
    if len(made) > _MOST_URL_CHARS:
        raise Invalid("too many topics for one token: make several, and send `sub` with the others")
    return made


def connect_session(connection_id: str, secret: bytes, now_s: int) -> str:
    """Make the token with which a worker opens one connection (auth.md §6)."""
    return make(_of_connection(connection_id, _GATEWAY, now_s), secret)


def connect_sync(connection_id: str, secret: bytes, now_s: int) -> str:
    """Make the token that comes with it for the sync of the worker's apps (connect.md §1)."""
    return make(_of_connection(connection_id, _SYNC, now_s), secret)


def session(token: str, known: tuple[bytes, ...], now_s: float) -> str:
    """Return the id of the connection that a session token is for. Raises Invalid."""
    claims = read(token, known, issuer=CONNECT, now_s=now_s)
    connection_id = claims.get("connection_id")
    if claims.get("aud") != _GATEWAY or not isinstance(connection_id, str):
        raise Invalid("the token is not valid")
    return connection_id


def _of_connection(connection_id: str, audience: str, now_s: int) -> JsonObject:
    return {
        "iss": CONNECT,
        "aud": audience,
        "sub": ids.DEV_ACCOUNT_ID,
        "env": ids.DEV_ENV_ID,
        "connection_id": connection_id,
        "iat": now_s,
        "exp": now_s + _CONNECT_SECONDS,
    }
