"""What the answer to a gateway call means for its run (execution.md §2, §4.2)."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NotRequired, TypedDict

from ..errors import Invalid, TooDeep
from ..functions import retries
from ..limits import MAX_STEP_BYTES
from ..runs.items import Item
from ..runs.runs import Run
from ..steps import gateway
from ..values import canonical, times
from ..values.checks import MOST_LEVELS, is_deeper
from ..values.json_types import JsonObject
from .decide import too_much_state
from .plans import Plan, Policy, StepResult, TimelineEntry
from .read import Reply

UNREACHABLE = "Error making gateway request: Unable to reach SDK URL"
_SHOWN_CHARS = 64 * 1024
# Fetch allows no body, not even an empty one, in a Response with one of these statuses.
_NO_BODY = frozenset({204, 205, 304})
# Headers that describe only the transfer. The stored body is already decoded.
_TRANSFER = frozenset({"connection", "content-encoding", "keep-alive", "transfer-encoding"})


class _Shown(TypedDict):
    """What a provider answered, as parts of the step's error."""

    data: NotRequired[object]
    stack: str


class Failed(Exception):
    """The call failed; `error` is the step's error. `final` means that a retry cannot help."""

    def __init__(self, message: str, *, final: bool = False, **more: object) -> None:
        self.error, self.final = {"message": message} | more, final


def plan(
    run: Run,
    item: Item,
    policy: Policy,
    request: gateway.GatewayRequest,
    reply: Reply,
    now: datetime,
    jitter: float,
) -> Plan:
    """Plan to store the answer as the step's result, to retry the call, or to store its error."""
    try:
        if reply.not_made is not None:
            raise Failed(reply.not_made, final=True)
        value = {"data": _ai(request, reply) if request.is_ai else _plain(request, reply)}
        text = _stored(request, value)
    except Failed as failure:
        name = "AIGatewayError" if request.is_ai else "GatewayError"
        error = {"name": name} | failure.error
        if not failure.final and item.attempt + 1 < policy.max_attempts:
            return _retry(item, policy, request, reply, error, now, jitter)
        return _result(run, item, request, canonical.dumps({"error": error}).decode(), error)
    return _result(run, item, request, text, None)


def _retry(
    item: Item,
    policy: Policy,
    request: gateway.GatewayRequest,
    reply: Reply,
    error: JsonObject,
    now: datetime,
    jitter: float,
) -> Plan:
    wait = _retry_after(reply, now)
    if wait is None:
        wait = retries.backoff(item.attempt, jitter, policy.linear, policy.own)
    return Plan(retry=wait, timeline=[_entry(item, request, "errored", error)])


def _retry_after(reply: Reply, now: datetime) -> timedelta | None:
    value = reply.header("retry-after")
    return times.parse_retry_after(value, now) if value else None


def _result(
    run: Run, item: Item, request: gateway.GatewayRequest, text: str, error: JsonObject | None
) -> Plan:
    full = too_much_state(run, canonical.size(text))
    if full is not None:
        return full
    name = item.step_name or item.step or request.op
    result = StepResult(
        item.step or "", name, request.op, text, races=request.race, failed=error is not None
    )
    status = "completed" if error is None else "failed"
    return Plan(results=[result], timeline=[_entry(item, request, status, error)])


def _entry(
    item: Item, request: gateway.GatewayRequest, status: str, error: JsonObject | None
) -> TimelineEntry:
    shown = None if error is None else canonical.dumps(error).decode()
    return TimelineEntry(
        item.step, item.step_name or item.step or request.op, request.op, status, shown
    )


def _ai(request: gateway.GatewayRequest, reply: Reply) -> object:
    """Return the provider's document; raise Failed for a status over 299, or for no JSON."""
    if reply.unreachable is not None:
        raise Failed(UNREACHABLE, stack=reply.unreachable)
    if reply.too_large:
        raise Failed("Error making AI request: the response is too large", final=True)
    if reply.status > 299:
        text = f"Error making AI request: unsuccessful status code: {reply.status}"
        raise Failed(text, **_provider_error(request, reply))
    try:
        return canonical.loads(reply.body, MOST_LEVELS)
    except TooDeep as error:
        raise Failed(f"Error making AI request: {error.message}", final=True) from None
    except Invalid:
        text = "Error making AI request: the response is not JSON"
        raise Failed(text, **_provider_error(request, reply)) from None


def _provider_error(request: gateway.GatewayRequest, reply: Reply) -> _Shown:
    """Show the provider's answer, without the key, which some providers repeat."""
    raw = request.redact(reply.body[:_SHOWN_CHARS].decode("utf-8", "replace"))
    try:
        data = canonical.loads(raw)
        if is_deeper(canonical.dumps(data).decode(), MOST_LEVELS):
            data = None
    except Invalid:
        data = None
    return {"stack": raw} if data is None else {"data": data, "stack": raw}


def _plain(request: gateway.GatewayRequest, reply: Reply) -> JsonObject:
    """Return any HTTP answer as data; raise Failed when there was none."""
    if reply.unreachable is not None:
        raise Failed(f"Error making gateway request: {reply.unreachable}")
    if reply.too_large:
        raise Failed("Error making gateway request: the response is too large", final=True)
    body = None if reply.status in _NO_BODY else reply.body.decode("utf-8", "replace")
    return {
        "body": body,
        "headers": _headers(reply.headers or {}),
        "status_code": reply.status,
        "url": request.url,
    }


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    encoded = "content-encoding" in given
    return {
        name.title(): value
        for name, value in given.items()
        if name not in _TRANSFER and not (encoded and name == "content-length")
    }


def _stored(request: gateway.GatewayRequest, value: JsonObject) -> str:
    label = "AI" if request.is_ai else "gateway"
    try:
        text = canonical.dumps(value).decode()
    except Invalid as error:
        problem = f"Error making {label} request: the response cannot be stored: {error.message}"
        raise Failed(problem, final=True) from None
    if is_deeper(text, MOST_LEVELS):
        problem = (
            f"Error making {label} request: the JSON is nested deeper than {MOST_LEVELS} levels"
        )
        raise Failed(problem, final=True)
    if len(text.encode()) > MAX_STEP_BYTES:
        problem = f"Error making {label} request: the response is over {MAX_STEP_BYTES} bytes"
        raise Failed(problem, final=True)
    return text
