"""Durable endpoints: a plain HTTP endpoint of an app whose requests are runs.

Protocol: checkpointing.md §3. The SDK creates the run and executes it within the caller's request
until a step has to wait. From then on the server calls the endpoint, as the caller did.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from ..errors import Invalid, TooLarge
from ..events.event_record import Event, internal
from ..functions.function_config import FunctionConfig
from ..limits import MAX_EVENT_BYTES, MAX_NAME_CHARS
from ..runs.items import Item
from ..runs.runs import Run
from ..steps import opcodes
from ..steps.opcodes import Op
from ..values import canonical, ids, urls
from ..values.checks import MOST_LEVELS, check_text, is_deeper
from ..values.json_types import JsonObject
from . import api_result, checkpoint, read, request

HTTP_REQUEST = "inngest/http.request"
DEFAULT_RETRIES = 4
MAX_RETRIES = 20
TEXT, BASE64 = "text", "base64"  # how the event holds the request's body
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that an SDK has started; `encoding` says how the event holds the request's body."""

    run_id: str
    app_id: str
    domain: str
    config: FunctionConfig
    event: Event
    encoding: str
    request_version: int
    ops: list[Op]

    def function_id(self, app_id: str) -> str:
        """Derive the function's UUID from its app and slug."""
        return ids.function_id(f"{app_id}:{self.config.slug}", self.domain)


def parse_new(body: bytes, *, now_ms: int, event_id: str, sdk: str) -> NewRun:
    """Read `POST /v1/checkpoint` (§3.1); `sdk` is the caller's X-Inngest-SDK header.

    Raises Invalid or TooLarge.
    """
    given = checkpoint.read_body(body, None)
    run_id = given.get("run_id")
    if not isinstance(run_id, str) or not ids.is_ulid(run_id):
        raise Invalid("run_id must be a ULID that the SDK has made", field="run_id")
    event = given.get("event")
    data = event.get("data") if isinstance(event, dict) else None
    if not isinstance(event, dict) or not isinstance(data, dict):
        raise Invalid("event.data must be an object", field="event")
    domain = _domain(data)
    return NewRun(
        run_id=run_id,
        app_id=ids.endpoint_app_id(domain),
        domain=domain,
        config=_config(data, domain, given.get("retries")),
        event=_event(event, data, now_ms, event_id),
        encoding=_encoding(data.get("body"), sdk),
        request_version=_version(given.get("request_version")),
        ops=checkpoint.read_ops(given.get("steps")),
    )


def _text(data: Mapping[str, object], name: str) -> str:
    value = data.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Invalid(f"event.data.{name} must be a string", field=f"event.data.{name}")
    return value


def _domain(data: Mapping[str, object]) -> str:
    given = check_text(_text(data, "domain"), "event.data.domain", MAX_NAME_CHARS, "event")
    try:
        urls.normalise(given)
        parts = urlsplit(given)
        whole = parts.scheme in urls.HTTP and given == f"{parts.scheme}://{parts.netloc}"
    except Invalid:
        whole = False
    if not whole:
        raise Invalid(
            "event.data.domain must be an origin, like https://api.example.com",
            field="event.data.domain",
        )
    return given


def _config(data: Mapping[str, object], domain: str, retries: object) -> FunctionConfig:
    method, path = _text(data, "method").upper(), _text(data, "path")
    if method not in _METHODS:
        raise Invalid("event.data.method is not an HTTP method", field="event.data.method")
    if not path.startswith("/") or any(char <= " " or char in "?#" for char in path):
        raise Invalid("event.data.path must be a URL's path", field="event.data.path")
    slug = _text(data, "fn") or f"{method} {path}"
    check_text(slug, "the function's id", MAX_NAME_CHARS, "event.data.fn")
    count = retries if isinstance(retries, int) and not isinstance(retries, bool) else None
    return FunctionConfig(
        slug=slug,
        name=slug,
        url=domain + path,
        retries=DEFAULT_RETRIES if count is None else max(0, min(count, MAX_RETRIES)),
    )


def _event(event: Mapping[str, object], data: JsonObject, now_ms: int, event_id: str) -> Event:
    given = event.get("ts")
    ts_ms = given if isinstance(given, int) and 0 < given < 2**47 else now_ms
    made = internal(HTTP_REQUEST, data, id=event_id, ts_ms=ts_ms)
    if canonical.size(made.payload) > MAX_EVENT_BYTES:
        raise TooLarge(f"the request's event may have {MAX_EVENT_BYTES} bytes at most")
    if is_deeper(made.payload, MOST_LEVELS):
        raise Invalid(f"the event is nested deeper than {MOST_LEVELS} levels")
    return made


def _encoding(body: object, sdk: str) -> str:
    """Say how the body is encoded: the TypeScript SDK sends plain text, the others base64."""
    if sdk.startswith("inngest-js") or not isinstance(body, str):
        return TEXT
    try:
        base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return TEXT
    return BASE64


def _version(given: object) -> int:
    return given if isinstance(given, int) and 0 <= given <= 1_000_000 else 0


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """The server's request to an endpoint; SDKs check the signature of the bytes in `signed`."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    signed: bytes


def request_to_endpoint(run: Run, item: Item, *, request_id: str) -> EndpointRequest:
    """Build an item's request: the caller's own request, with the run in its headers (§3.5).

    The signature header is sent even when it is empty: SDKs recognise the server by it.
    """
    data = canonical.loads(run.event)["data"]
    method = str(data.get("method") or "GET").upper()
    query = str(data.get("query_params") or "")
    url = f"{data['domain']}{data['path']}" + (f"?{query}" if query else "")
    body = _body(data.get("body"), run.endpoint)
    headers = request.headers(run, item, request_id=request_id)
    if item.step is None:
        del headers["X-Inngest-Step-ID"]
    headers |= {
        "Content-Type": api_result.header_value(data.get("content_type")) or "application/json",
        "X-Inngest-Force-Step-Plan": "true",
        "X-Inngest-Signature": "",
    }
    return EndpointRequest(method, url, headers, body, _signed(method, body))


def _body(given: object, encoding: str | None) -> bytes:
    text = given if isinstance(given, str) else ""
    return base64.b64decode(text) if encoding == BASE64 else text.encode("utf-8", "replace")


def _signed(method: str, body: bytes) -> bytes:
    """Say which bytes are signed: SDKs make JSON canonical before they check the signature."""
    if method not in ("POST", "PUT") or not body:
        return body
    try:
        return canonical.canonical(body)
    except Invalid:
        return body


def answer(given: read.Reply) -> read.Reply:
    """Read an endpoint's answer: any 2xx must hold ops, and becomes an error without (§3.5)."""
    if given.status == 206 or not 200 <= given.status < 300:
        return given
    try:
        opcodes.parse(given.body)
    except Invalid:
        reason = f"the endpoint answered HTTP {given.status} and no steps: is it the same function?"
        return read.Reply(status=given.status, unreachable=reason)
    return replace(given, status=206)
