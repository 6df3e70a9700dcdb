"""Headers of answers: those of failed attempts are kept with the attempt, to be shown.

They often say who answered: a proxy, a load balancer, another version of the app.
"""

import re
from collections.abc import Mapping

from ..values import canonical
from ..values.json_types import JsonObject

MOST_HEADERS = 20
MOST_CHARS = 2048  # of all names and values together
HIDDEN = "(hidden)"
_IN_INFO = "answerHeaders"  # their name in the `info` of an attempt
_MOST_OF_VALUE = 256
# of the connection or of this answer alone: they say nothing of who answered
_OF_ANSWER = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding"})
_SECRET = re.compile("cookie|auth|token|secret|passw|key|signature|session|credential")


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """Choose what is kept of an answer's headers, in their order; values of secrets are hidden."""
    found: dict[str, str] = {}
    chars = 0
    for name, value in headers.items():
        if name.lower() in _OF_ANSWER:
            continue
        text = HIDDEN if _SECRET.search(name.lower()) else value[:_MOST_OF_VALUE]
        chars += len(name) + len(text)
        if len(found) == MOST_HEADERS or chars > MOST_CHARS:
            break
        found[name] = text
    return found


def with_headers(info: str | None, headers: Mapping[str, str] | None) -> str | None:
    """Add what is kept of an answer's headers to the `info` (JSON) of its failed attempt."""
    if not headers:
        return info
    given = {} if info is None else canonical.loads(info)
    return canonical.dumps(given | {_IN_INFO: kept(headers)}).decode()


def apart(info: JsonObject | None) -> tuple[JsonObject | None, dict[str, str] | None]:
    """Take the headers out of an attempt's `info`; both are None where there is nothing."""
    if info is None or _IN_INFO not in info:
        return info, None
    rest = {name: value for name, value in info.items() if name != _IN_INFO}
    headers = info[_IN_INFO]
    assert isinstance(headers, dict)
    return rest or None, headers
