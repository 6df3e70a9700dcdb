"""Server-sent events that a durable endpoint's SDK writes, and that are passed on (realtime.md §3).

An event ends with an empty line. SDKs write no carriage returns.
"""

import orjson

from ..reply import api_result
from ..runs.runs import RunStatus
from ..values import canonical

_END = b"\n\n"
_EVENT = b"event:"
_RESPONSE = b"event: inngest.response\n"
_SERVER_ERROR = 500
_JSON = {"content-type": "application/json"}


class WholeEvents:
    """Cuts a body into whole events, so that several bodies can be passed on side by side.

    A body that does not begin with an event is passed on as it comes.
    """

    def __init__(self) -> None:
        """Begin a body."""
        self._kept = b""
        self._has_events: bool | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Take what has come; return what can be passed on."""
        self._kept += chunk
        if self._has_events is None and _EVENT[: len(self._kept)] != self._kept:
            self._has_events = self._kept.startswith(_EVENT)
        if self._has_events is None:
            return b""
        end = len(self._kept)
        if self._has_events:
            whole, mark, _ = self._kept.rpartition(_END)
            end = len(whole) + len(mark)
        found, self._kept = self._kept[:end], self._kept[end:]
        return found

    def rest(self) -> bytes:
        """Return what is left at the body's end; half an event is dropped."""
        return b"" if self._has_events else self._kept


def has_response(passed_on: bytes) -> bool:
    """Say whether these whole events have the endpoint's answer, after which no others come."""
    return _RESPONSE in passed_on


def response(status: RunStatus, output: str | None) -> bytes:
    """Write the endpoint's answer for a run that ended without one in its stream."""
    if status is RunStatus.COMPLETED:
        return _event("succeeded", *_answer(output))
    said = "the run was cancelled" if status is RunStatus.CANCELLED else _message(output)
    return _event("failed", canonical.dumps(said).decode(), _SERVER_ERROR, _JSON)


def _event(status: str, body: str, code: int, headers: dict[str, str]) -> bytes:
    answer = {"body": body, "headers": headers, "statusCode": code}
    return _RESPONSE + b"data: " + orjson.dumps({"status": status, "response": answer}) + _END


def _answer(output: str | None) -> tuple[str, int, dict[str, str]]:
    found = api_result.result(output)
    if found is None:
        return output or "null", 200, _JSON
    body = found.body.decode(errors="replace")
    try:
        # the SDK stores the text of a Response as a JSON string
        inner = orjson.loads(body)
    except orjson.JSONDecodeError:
        inner = None
    return inner if isinstance(inner, str) else body, found.status, found.headers


def _message(output: str | None) -> str:
    found = canonical.loads(output) if output is not None else None
    error = found.get("error", found) if isinstance(found, dict) else found
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else "the run failed"
