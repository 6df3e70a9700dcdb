"""`POST /e/{key}` and `POST /invoke/{slug}`: events in (protocol: events.md)."""

from dataclasses import replace

from flask import Blueprint, Response, request

from ...domain.errors import Invalid
from ...domain.events.user_events import NOT_EVENTS, Event, parse_event, parse_invocation
from ...domain.limits import MAX_EVENTS
from ...domain.runs import traces
from ...domain.values import canonical, ids
from ...engine.clock.sent_times import by_the_clock
from ...engine.intake.invoke import check_known
from ...engine.intake.publish import accept
from .. import auth
from ..deps import context
from ..errors import answer

blueprint = Blueprint("events", __name__)
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Link",
}
OPEN_PATHS = ("/e/", "/invoke/")
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Max-Age": "3600",
}
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@blueprint.after_request
def allow_any_origin(response: Response) -> Response:
    """Let browsers call from any origin (events.md §1)."""
    response.headers.update(_CORS)
    if request.method == "OPTIONS":
        response.headers.update(_PREFLIGHT)
        asked = request.headers.get("Access-Control-Request-Headers", "*")
        response.headers["Access-Control-Allow-Headers"] = asked
    return response


@blueprint.post("/e/<path:key>")
def ingest(key: str) -> Response:
    """Accept one event or an array; commit them with their runs; answer their ids."""
    refused = auth.refuse_event_key(key)
    if refused is not None:
        return refused
    seed = request.headers.get("x-inngest-event-id-seed")
    accepted, error = parse_body(request.get_data(cache=False), seed)
    accepted = [_in_its_trace(event) for event in accepted]
    accept(context(), accepted)
    found = [event.id for event in accepted]
    if error is None:
        return answer({"ids": found, "status": 200})
    return answer({"ids": found or [""], "status": 400, "error": error}, 400)


def _in_its_trace(event: Event) -> Event:
    """Keep the request's W3C trace context with the event; the event's runs join that trace."""
    given = traces.parse(request.headers.get("traceparent"))
    return event if given is None else replace(event, traceparent=given)


def parse_body(body: bytes, seed: str | None) -> tuple[list[Event], str | None]:
    """Read events up to the first bad one; the second value says what is wrong with it."""
    if not body.strip():
        return [], None
    try:
        payload = canonical.loads(body)
    except Invalid as bad_json:
        if (request.mimetype or "") in _FORMS:
            return [], "form bodies are not supported: send JSON with Content-Type application/json"
        return [], bad_json.message
    items = payload if isinstance(payload, list) else [payload]
    if any(not isinstance(item, dict) for item in items):
        bad = next(index for index, item in enumerate(items) if not isinstance(item, dict))
        accepted, error = _parse_all(items[:bad], seed, len(body), single=False)
        return accepted, error or NOT_EVENTS
    return _parse_all(items, seed, len(body), single=not isinstance(payload, list))


def _parse_all(
    items: list[object], seed: str | None, size: int, *, single: bool
) -> tuple[list[Event], str | None]:
    ctx = context()
    now = ctx.now()
    now_ms = int(now.timestamp() * 1000)
    accepted: list[Event] = []
    for index, item in enumerate(items, start=1):
        if index > MAX_EVENTS:
            return accepted, f"Cannot have more than {MAX_EVENTS} events in a batch"
        seeded = ids.seeded(seed, index)
        try:
            length = size if single else len(canonical.dumps(item))
            sent = by_the_clock(ctx, item)
            event = parse_event(sent, length, now_ms, seeded or ctx.new_id(now))
            accepted.append(replace(event, fresh=seeded is None))
        except Invalid as error:
            return accepted, error.message
    return accepted, None


@blueprint.get("/e/<path:key>")
def no_get(key: str) -> Response:
    """Refuse GET: events are sent with POST."""
    answered = answer({"ids": [], "status": 405, "error": "events are sent with POST"}, 405)
    answered.headers["Allow"] = "POST, OPTIONS"
    return answered


@blueprint.post("/invoke/<path:slug>")
def invoke(slug: str) -> Response:
    """Run one function directly with the body as its event (events.md §4)."""
    refused = auth.refuse_invocation()
    if refused is not None:
        return refused
    ctx = context()
    body = request.get_data(cache=False)
    payload = canonical.loads(body) if body.strip() else {}
    now = ctx.now()
    seed = request.headers.get("x-inngest-event-id-seed")
    event_id = ids.seeded(seed, 0) or ctx.new_id(now)
    payload = by_the_clock(ctx, payload)
    event = parse_invocation(payload, len(body), int(now.timestamp() * 1000), event_id, slug)
    check_known(ctx, slug)
    accept(ctx, [_in_its_trace(event)])
    return answer({"id": event.id, "status": 200})
