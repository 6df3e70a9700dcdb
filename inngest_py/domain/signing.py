"""Signatures and bearer keys (protocol: auth.md §1, §2)."""

import hashlib
import hmac
import re

_PREFIX = re.compile(r"^signkey-\w+-")


def strip_prefix(key: str) -> str:
    """Take the environment's prefix off a signing key."""
    return _PREFIX.sub("", key)


def bearer(key: str) -> str:
    """Hash a signing key as SDKs send it in `Authorization` (auth.md §1.1), without prefix."""
    stripped = strip_prefix(key)
    try:
        raw = bytes.fromhex(stripped)
    except ValueError:
        raw = stripped.encode()
    return hashlib.sha256(raw).hexdigest()


def sign(key: str, body: bytes, unix_s: int) -> str:
    """Sign a body as sent: the value of `X-Inngest-Signature` (auth.md §2)."""
    message = body + str(unix_s).encode()
    digest = hmac.new(strip_prefix(key).encode(), message, hashlib.sha256).hexdigest()
    return f"t={unix_s}&s={digest}"
