"""Decide whether another request may use a connection. All HTTP clients here decide by this.

It may only if the last answer was read to its end, and the answer itself said where that is. Any
doubt about the end closes the connection: else the next call would get the rest of this answer
(RFC 9110, section 15.2, and RFC 9112, sections 6.3 and 9.3).
"""

import re
from collections.abc import Iterable, Mapping

MOST_INTERIM_ANSWERS = 100
MOST_HEAD_BYTES = 128 * 1024  # of all the heads of one answer, interim ones too
_LENGTH = re.compile(r"[0-9]{1,18}")
NO_BODY = frozenset({204, 304})
Headers = Mapping[str, str]  # by lower-case name


def may_follow(
    method: str, status: int, headers: Headers, *, old: bool, sent: bool, more: bool
) -> bool:
    """Say whether another request may follow a final answer that was read to its end.

    `old` says that the answer is HTTP/1.0, `sent` that the whole request was sent before it, `more`
    that bytes follow its end.
    """
    if not sent or more or not _stays_open(old, headers):
        return False
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if method == "HEAD" or status in NO_BODY:
        # such answers have no body, but if one is announced it may come all the same
        return coding is None and length in (None, "0")
    return (length is None) != (coding is None)


def _stays_open(old: bool, headers: Headers) -> bool:
    wanted = headers.get("connection", "").lower()
    return "keep-alive" in wanted if old else "close" not in wanted


def fault(headers: Headers) -> str | None:
    """Say why the headers leave the answer's end unknown; None if they tell it."""
    length = headers.get("content-length")
    if length is not None and not _LENGTH.fullmatch(_one(length)):
        return "the answer is not HTTP: its Content-Length is not one number"
    if headers.get("transfer-encoding", "chunked").strip().lower() not in ("chunked", "identity"):
        return "the answer has a Transfer-Encoding that was not asked for"
    return None


def _one(length: str) -> str:
    """Give the value of a list whose entries are all equal; else an empty text."""
    same = {part.strip() for part in length.split(",")}
    return same.pop() if len(same) == 1 else ""


def is_plain(old: bool, headers: Headers) -> bool:
    """Say whether the body must be read unchunked: HTTP/1.0 has no chunks, whatever it says."""
    return old and "transfer-encoding" in headers


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Join the values of each header, under its lower-case name."""
    found: dict[str, str] = {}
    for given, value in pairs:
        name = given.lower()
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found
