"""W3C trace contexts: which trace a run is in, and the ids of its spans.

Ids follow from those of runs and requests, so every process knows them without asking: a run's
trace is that of its event's request, or its own.
"""

import re

from ..values import ids

_CONTEXT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_LONGEST = 512


def parse(header: str | None) -> str | None:
    """Read a `traceparent` header; None for none, or one that W3C has us ignore."""
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
    """Name the trace of a run, whose event came in the `given` context, or in none."""
    return ids.ulid_hex(run_id) if given is None else given[3:35]


def span_id(ulid: str) -> str:
    """Name the span of a run, or of a request, by its id."""
    return ids.ulid_hex(ulid)[16:]


def of_request(run_id: str, given: str | None, request_id: str) -> str:
    """Give a request's `traceparent`: the trace is the same in every request of a run."""
    flags = "01" if given is None else given[-2:]
    return f"00-{trace_id(run_id, given)}-{span_id(request_id)}-{flags}"
