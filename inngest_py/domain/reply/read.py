"""Read an SDK's answer, or the lack of one (protocol: execution.md §3)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..errors import Invalid
from ..runs import outputs
from ..steps import opcodes
from ..values import canonical, times, urls

CUT_WHILE_READ = "the connection was cut while the answer was read"
_RESET = "Your server reset the connection while we were reading the reply"
_NOT_REACHED = "Unable to reach SDK URL"
_FROM_PROXIES = frozenset({502, 503, 504})
_FAILED_EARLY = "Server returned a fatal error"
_TOO_LARGE = "Your function's response body exceeds the maximum size limit"
_NOT_SDK = "response did not come from an Inngest SDK"
_SHOWN_BODY_CHARS = 2048
# the text in failure events for an error that the SDK marks as not to be retried (events.md §8.3)
NO_RETRY = "NonRetriableError"


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer as received; header names are lower-case.

    `unreachable` holds the transport's error when no complete answer came; `status` is then that
    of an answer that was cut off, or 0. `is_connected` is False if no connection could be made,
    and `url` is then, as for every call without an answer, what was called. `too_large` means that
    the body was over the limit and was not kept. `not_made` says why no call was made at all, as in
    a test; nothing else is set then. `worker` names the connected worker that answered, as attempts
    do.
    """

    status: int = 0
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    unreachable: str | None = None
    too_large: bool = False
    is_connected: bool = True
    url: str = ""
    not_made: str | None = None
    worker: str | None = None

    def header(self, name: str) -> str:
        """Read a header, "" when absent."""
        return (self.headers or {}).get(name, "")


@dataclass(frozen=True, slots=True)
class Generated:
    """The SDK answered with ops."""

    ops: list[opcodes.Op]
    request_version: int
    no_retry: bool | None
    retry_after: timedelta | None


@dataclass(frozen=True, slots=True)
class Returned:
    """The function returned: the run's result as canonical JSON, None for an empty body."""

    output: str | None


@dataclass(frozen=True, slots=True)
class Errored:
    """A function-level error.

    `output` is the run's output if the run ends with this error: what the SDK sent, unchanged.
    `text` is the server's own short text for it. `shown` is what the attempt shows, where that
    is not the output.
    """

    output: str
    text: str
    no_retry: bool
    retry_after: timedelta | None = None
    shown: str | None = None


Meaning = Generated | Returned | Errored


def read(reply: Reply, now: datetime) -> Meaning:
    """Decide what an answer means; the first rule that fits wins (execution.md §3.1)."""
    if reply.unreachable is not None:
        return _without_answer(reply)
    if reply.too_large:
        return server_error(_TOO_LARGE, name="output_too_large")
    if reply.status == 201 and reply.header("x-inngest-sdk"):
        unwrapped = unwrap_stream(reply)
        return unwrapped if isinstance(unwrapped, Errored) else read(unwrapped, now)
    if 200 <= reply.status < 300:
        return _read_success(reply, now)
    return _read_error(reply, now)


def _without_answer(reply: Reply) -> Errored:
    if not reply.status:
        return server_error(f"{_NOT_REACHED}: {no_answer(reply)}", error=_NOT_REACHED)
    shown = _RESET if reply.unreachable == CUT_WHILE_READ else reply.unreachable
    text = f"Error performing request to SDK URL: {shown}"
    return server_error(text, stack=text)


def no_answer(reply: Reply) -> str:
    """Say what was called in vain and why no answer came."""
    where = f"{urls.without_secrets(reply.url)}: " if reply.url else ""
    return f"{where}{reply.unreachable}"


def down_cause(reply: Reply) -> str | None:
    """Say why an app counts as down after this answer; None if it does not.

    It is down if no connection can be made, or if a proxy answers for it that it is away. A call
    that is cut or takes too long says nothing: one step's code may be the reason.
    """
    if not reply.is_connected:
        return no_answer(reply)
    if reply.status in _FROM_PROXIES and not reply.header("x-inngest-sdk"):
        return f"HTTP {reply.status} from a proxy, in place of the app"
    return None


def _read_success(reply: Reply, now: datetime) -> Meaning:
    if not reply.header("x-inngest-sdk"):
        return _not_sdk(reply)
    if reply.status == 206:
        try:
            ops = opcodes.parse(reply.body)
        except Invalid as error:
            return server_error(error.message)
        return Generated(ops, _version(reply), _no_retry(reply), _retry_after(reply, now))
    if not reply.body:
        return Returned(None)
    try:
        return Returned(outputs.parse_result(reply.body).decode())
    except Invalid as error:
        return server_error(f"the function's result cannot be stored: {error.message}")


def _not_sdk(reply: Reply) -> Errored:
    """Refuse a 2xx answer that no SDK sent; the run's output shows its body."""
    if reply.status == 206:
        return server_error(f"error reading generator opcode response: {_NOT_SDK}", name="not_sdk")
    error = server_error(_NOT_SDK, name="not_sdk")
    return replace(error, output=outputs.raw(reply.body), shown=error.output)


def unwrap_stream(reply: Reply) -> Reply | Errored:
    """Take the embedded answer out of a streamed one (execution.md §3.4)."""
    try:
        inner = canonical.loads(reply.body.strip())
    except Invalid as error:
        return server_error(f"the streamed response is not valid: {error.message}")
    if not isinstance(inner, dict) or not isinstance(inner.get("status"), int):
        return server_error("the streamed response is not valid: it holds no status")
    failure = inner.get("error")
    if failure:
        text = failure if isinstance(failure, str) else canonical.dumps(failure).decode()
        return server_error(text[:_SHOWN_BODY_CHARS])
    status = inner["status"]
    if status == 201:
        return server_error("the streamed response is not valid: it holds another stream")
    headers = dict(reply.headers or {})
    given = inner.get("headers")
    if isinstance(given, dict):
        for name, value in given.items():
            headers[str(name).lower()] = str(
                value[0] if isinstance(value, list) and value else value
            )
    body = inner.get("body")
    raw = body.encode() if isinstance(body, str) else canonical.dumps(body)
    return Reply(status=status, headers=headers, body=raw)


def _read_error(reply: Reply, now: datetime) -> Errored:
    status_text = f"invalid status code: {reply.status}"
    if reply.header("x-inngest-sdk"):
        output = _sdk_error(reply.body, status_text)
    else:
        shown = reply.body[:_SHOWN_BODY_CHARS].decode("utf-8", "replace")
        message = f"Your server returned HTTP {reply.status} before the SDK responded."
        explained = f"{message} The response did not come from the Inngest SDK. Its body:\n{shown}"
        output = {"error": message, "message": message, "name": _FAILED_EARLY, "stack": explained}
    no_retry = _no_retry(reply) is True
    return Errored(
        output=canonical.dumps(output).decode(),
        text=NO_RETRY if no_retry else status_text,
        no_retry=no_retry,
        retry_after=_retry_after(reply, now),
    )


def _sdk_error(body: bytes, text: str) -> object:
    """Read the error that an SDK sent. The TypeScript SDK may send it as JSON in a JSON string."""
    if not body.strip():
        return outputs.error_object(None, text)
    try:
        found = outputs.parse_error(body)
    except Invalid:
        return body[:_SHOWN_BODY_CHARS].decode("utf-8", "replace")
    inner = outputs.object_in(found) if isinstance(found, str) else None
    return found if inner is None else inner


def server_error(
    text: str, *, error: str | None = None, name: str | None = None, stack: str | None = None
) -> Errored:
    """Build a function-level error that the server itself raises (execution.md §3.3).

    `error` replaces the text in the field of that name alone.
    """
    full = text if name is None else f"{name}: {text}"
    inner = {"error": error or full, "message": text, "name": name or "Error"}
    inner |= {} if stack is None else {"stack": stack}
    return Errored(output=canonical.dumps({"error": inner}).decode(), text=full, no_retry=False)


def _version(reply: Reply) -> int:
    try:
        return max(0, min(int(reply.header("x-inngest-req-version") or 0), 1_000_000))
    except ValueError:
        return 0


def _no_retry(reply: Reply) -> bool | None:
    value = reply.header("x-inngest-no-retry").strip().lower()
    return {"true": True, "false": False}.get(value)


def _retry_after(reply: Reply, now: datetime) -> timedelta | None:
    value = reply.header("retry-after")
    return times.parse_retry_after(value, now) if value else None
