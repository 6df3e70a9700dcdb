"""Whether a connection may carry another request: a decision for every HTTP client used here.

It may only where the answer before was read to an end that the answer itself told. All that leaves
a doubt about that end closes the connection: else the next call would be given what was left of
this one (RFC 9110, section 15.2, and RFC 9112, sections 6.3 and 9.3).
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

    `old` says that it is HTTP/1.0, `sent` that the whole request was out before it, `more` that
    bytes follow its end.
    """
    if not sent or more or not _stays_open(old, headers):
        return False
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if method == "HEAD" or status in NO_BODY:
        # a body that is announced may follow all the same
        return coding is None and length in (None, "0")
    return (length is None) != (coding is None)


def _stays_open(old: bool, headers: Headers) -> bool:
    wanted = headers.get("connection", "").lower()
    return "keep-alive" in wanted if old else "close" not in wanted


def fault(headers: Headers) -> str | None:
    """Say why nobody can know where an answer with these headers ends; None when they tell."""
    length = headers.get("content-length")
    if length is not None and not _LENGTH.fullmatch(_one(length)):
        return "the answer is not HTTP: its Content-Length is not one number"
    if headers.get("transfer-encoding", "chunked").strip().lower() not in ("chunked", "identity"):
        return "the answer has a Transfer-Encoding that was not asked for"
    return None


def _one(length: str) -> str:
    """Give a value that is said once, or several times alike; else nothing."""
    same = {part.strip() for part in length.split(",")}
    return same.pop() if len(same) == 1 else ""


def is_plain(old: bool, headers: Headers) -> bool:
    """Say whether the body is as it comes: in HTTP/1.0 there are no chunks, whatever is said."""
    return old and "transfer-encoding" in headers


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Make one value of each header, under its lower-case name."""
    found: dict[str, str] = {}
    for given, value in pairs:
        name = given.lower()
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found
