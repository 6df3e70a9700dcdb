"""Content codings: which ones are supported, and how bodies are decoded (RFC 9110, section 8.4).

A body is decoded whole or refused: a part of it must not be stored as a result, and an encoded body
must not be read as text.
"""

import zlib

from ...domain.limits import MAX_RESPONSE_BYTES
from ...domain.reply.read import Reply

UNDERSTOOD = "gzip"  # what requests say; the reference asks for the same
ASKED = {"Accept-Encoding": UNDERSTOOD}
_GZIP, _ZLIB = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS
_WINDOWS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}


class BodyTooLarge(Exception):
    """The decoded body is over the limit."""


class Undecodable(Exception):
    """The body is not what its coding says; the message is the reason, for people."""


def reply(status: int, headers: dict[str, str], body: bytes) -> Reply:
    """Make the reply from an answer that was read to its end."""
    encoding = headers.get("content-encoding")
    if encoding is not None:
        try:
            body = decoded(body, encoding)
        except BodyTooLarge:
            return Reply(status, headers, too_large=True)
        except Undecodable as error:
            return Reply(status, headers, unreachable=str(error))
    return Reply(status, headers, body)


def decoded(body: bytes, coding: str) -> bytes:
    """Decode a body by the codings that a Content-Encoding names, the last one first.

    Raises Undecodable, which says why, and TooLarge.
    """
    for name in reversed(coding.lower().replace(" ", "").split(",")):
        if name in ("", "identity") or not body:
            continue
        if name not in _WINDOWS:
            told = "has a Content-Encoding that was not asked for"
            raise Undecodable(f"the answer {told}: {name[:32]!r} (use {UNDERSTOOD} or none)")
        body = _inflated(body, name)
    return body


def _inflated(body: bytes, name: str) -> bytes:
    """Undo one coding; a gzip body may have several members, one after the other."""
    parts, room = [], MAX_RESPONSE_BYTES + 1
    while body:
        inflater = zlib.decompressobj(_WINDOWS[name])
        try:
            parts.append(inflater.decompress(body, room))
        except zlib.error:  # not in this coding, or with a wrong checksum
            raise Undecodable(f"the answer cannot be decoded: it is not valid {name}") from None
        room -= len(parts[-1])
        if room <= 0:
            raise BodyTooLarge
        if not inflater.eof:
            raise Undecodable(f"the answer cannot be decoded: its {name} is cut off")
        body = inflater.unused_data.lstrip(b"\0")  # members may be padded
    return b"".join(parts)
