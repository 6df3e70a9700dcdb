"""What the request to the app says of itself, whichever framework or connection it came by."""

import json
from collections.abc import Awaitable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One request to the app: the server stores checkpoints for this one alone."""

    function_id: str
    queue_item: str  # `ctx.qi_id`, opaque
    generation: int | None
    request_id: str | None


def read(raw_request: object) -> Dispatch | None:
    """Read the request's body; None when there is none, or the server takes no checkpoints."""
    body = _body(raw_request)
    if body is None:
        return None
    try:
        context = json.loads(body)["ctx"]
        function_id, queue_item = context.get("fn_id"), context.get("qi_id")
        generation, request_id = context.get("generation_id"), context.get("request_id")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(function_id, str) or not isinstance(queue_item, str):
        return None
    if not function_id or not queue_item:
        return None
    return Dispatch(
        function_id,
        queue_item,
        generation if isinstance(generation, int) else None,
        request_id if isinstance(request_id, str) else None,
    )


def resolve(raw_request: object) -> object:
    """Return what stays valid in other threads: Flask's request is a proxy of the thread's own."""
    current = getattr(type(raw_request), "_get_current_object", None)
    if current is None:
        return raw_request
    try:
        return raw_request._get_current_object()  # type: ignore[attr-defined]
    except RuntimeError:  # events are sent outside of requests, too
        return None


def _body(raw_request: object) -> bytes | None:
    """Return the body, which the SDK has read before: every framework keeps it then."""
    payload = getattr(raw_request, "request_payload", None)  # of a connected worker
    if isinstance(payload, bytes):
        return payload
    get_data = getattr(raw_request, "get_data", None)  # Flask
    if callable(get_data):
        payload = get_data()
    else:
        payload = getattr(raw_request, "body", None)  # Django and Tornado
        if callable(payload):  # FastAPI
            payload = _at_once(payload())
    return payload if isinstance(payload, bytes) else None


def _at_once(waited: Awaitable[object]) -> object:
    """Return the value of what need not be waited for, in a thread without an event loop, too."""
    steps = waited.__await__()
    try:
        next(steps)
    except StopIteration as done:
        return done.value
    finally:
        close = getattr(waited, "close", None)
        if close is not None:
            close()
    return None
