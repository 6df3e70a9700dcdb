"""API results: a durable endpoint's answer to its caller, as SDKs report it (checkpointing.md §3).

SDKs send `{"status_code", "headers", "body"}`, some inside `data`. The TypeScript SDK writes
`status`.
"""

from dataclasses import dataclass, field

from ..runs.runs import RunStatus
from ..values import canonical

# headers that belong to the connection between SDK and endpoint, not to the result
_OF_CONNECTION = frozenset(
    {
        *("connection", "content-encoding", "content-length", "date", "keep-alive"),
        *("server", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)


@dataclass(frozen=True, slots=True)
class ApiResult:
    """The HTTP answer that the endpoint would have given its caller."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def result(output: str | None) -> ApiResult | None:
    """Read a run's output as an HTTP answer; None when it is a value of another kind."""
    value = canonical.loads(output) if output is not None else None
    if isinstance(value, dict) and set(value) == {"data"}:
        value = value["data"]
    if not isinstance(value, dict) or "body" not in value:
        return None
    status = value.get("status_code", value.get("status"))
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        return None
    body = value["body"]
    raw = body.encode("utf-8", "replace") if isinstance(body, str) else canonical.dumps(body)
    return ApiResult(status, raw, _headers(value.get("headers")))


def _headers(given: object) -> dict[str, str]:
    if not isinstance(given, dict):
        return {}
    read = {
        str(name): value[0] if isinstance(value, list) and value else value
        for name, value in given.items()
    }
    return {
        name: header_value(value)
        for name, value in read.items()
        if name.lower() not in _OF_CONNECTION
        and name.replace("-", "").isalnum()
        and header_value(value)
    }


def finish(data: object) -> tuple[RunStatus, str]:
    """Give the status and output of a run that its SDK completes (execution.md §4).

    An answer of 5xx is a failure.
    """
    output = canonical.dumps(data).decode()
    found = result(output)
    failed = found is not None and found.status >= 500
    return (RunStatus.FAILED if failed else RunStatus.COMPLETED), output


def header_value(value: object) -> str:
    """Return a header's value when it is printable ASCII text, else ""."""
    text = value if isinstance(value, str) else ""
    return text if text.isascii() and text.isprintable() else ""
