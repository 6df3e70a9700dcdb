"""W3C trace contexts: which trace a run is in, and the ids of its spans.

Ids are derived from those of runs and requests, so every process knows them without asking. The
trace of a run is that of its event's request, or else its own.
"""

import re

from ..values import ids

_CONTEXT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_LONGEST = 512


def parse(header: str | None) -> str | None:
    """Read a `traceparent` header; None without one, or for one that W3C says to ignore."""
    if not header or len(header) > _LONGEST:
        return None
    found = _CONTEXT.fullmatch(header.strip())
    if found is None:
        return None
    version, trace, span, flags = found.groups()
    if version == "ff" or not int(trace, 16) or not int(span, 16):
        return None
    return f"00-{trace}-{span}-{int(flags, 16) & 1:02x}"


def trace_id(run_id: str, given: str | None) -> str:
    """Return the trace id of a run; `given` is the context of its event, None without one."""
    return ids.ulid_hex(run_id) if given is None else given[3:35]


def span_id(ulid: str) -> str:
    """Derive the span id of a run or a request from its ULID."""
    return ids.ulid_hex(ulid)[16:]


def of_request(run_id: str, given: str | None, request_id: str) -> str:
    """Write a request's `traceparent`; all requests of a run have the same trace."""
    flags = "01" if given is None else given[-2:]
    return f"00-{trace_id(run_id, given)}-{span_id(request_id)}-{flags}"
