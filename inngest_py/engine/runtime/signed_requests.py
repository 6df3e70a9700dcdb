"""Signed requests to SDKs (protocol: auth.md §2), also while signing keys are rotated.

Every request is signed with the first key. An app that does not have that key yet answers 401
before it runs anything. The request is then sent again, signed with the fallback key. So a
rotation interrupts no run, whichever side is changed first. It costs one more round trip per
call, only to apps that still have the old key.
"""

from collections.abc import Mapping
from datetime import timedelta

from ...domain.access import signatures
from ...domain.limits import REQUEST_TIMEOUT
from ...domain.reply.read import Reply
from .context import Context

_HEADER = "X-Inngest-Signature"
_REFUSED = 401


def send(
    ctx: Context,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    timeout: timedelta = REQUEST_TIMEOUT,
    signs: bytes | None = None,
) -> Reply:
    """Send a request, signed when there is a key; `body` must be the canonical bytes.

    For a body that must stay as it is, `signs` gives the bytes to sign instead.
    Returns the answer to the last request. `timeout` bounds each of them.
    """
    keys = ctx.tuning.signing_keys
    if not keys:
        return ctx.transport.send(method, url, headers, body, timeout)
    signs = body if signs is None else signs
    for key in keys:
        now_s = int(ctx.real_now().timestamp())
        with_signature = {
            **headers,
            _HEADER: signatures.sign(key, signs, now_s),
        }
        reply = ctx.transport.send(method, url, with_signature, body, timeout)
        if reply.status != _REFUSED:
            break
    return reply


def is_ours(ctx: Context, reply: Reply) -> bool:
    """Say whether an answer's raw bytes were signed just now with one of our keys (§3)."""
    header, now_s = reply.header(_HEADER.lower()) or "", int(ctx.real_now().timestamp())
    return any(
        signatures.verify(key, reply.body, header, now_s=now_s) for key in ctx.tuning.signing_keys
    )
