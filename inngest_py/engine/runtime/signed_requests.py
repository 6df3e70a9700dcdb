"""Signed requests to SDKs (protocol: auth.md §2), and keys in rotation.

Every request is signed with the first key. An app that has not been given that key yet answers
401 before it runs anything, so the request is sent once more, signed with the fallback: runs go
on through a rotation whichever side is changed first. The price is one more round trip a call,
to such apps only, for as long as they lag behind.
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

    For a body that is not ours to change, `signs` gives the bytes to sign instead.
    The answer to the last try is returned. `timeout` bounds each try.
    """
    keys = ctx.tuning.signing_keys
    if not keys:
        return ctx.transport.send(method, url, headers, body, timeout)
    signs = body if signs is None else signs
    for key in keys:
        now_s = int(ctx.now().timestamp())
        with_signature = {
            **headers,
            _HEADER: signatures.sign(key, signs, now_s),
        }
        reply = ctx.transport.send(method, url, with_signature, body, timeout)
        if reply.status != _REFUSED:
            break
    return reply


def is_ours(ctx: Context, reply: Reply) -> bool:
    """Say whether an answer's raw bytes are signed, just now, with one of our keys (§3)."""
    header, now_s = reply.header(_HEADER.lower()) or "", int(ctx.now().timestamp())
    return any(
        signatures.verify(key, reply.body, header, now_s=now_s) for key in ctx.tuning.signing_keys
    )
