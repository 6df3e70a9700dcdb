"""`/v1/realtime`: tokens, publishing, and server-sent events (realtime.md §1)."""

import codecs
from collections.abc import Iterator
from dataclasses import replace

import orjson
from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException

from ...domain.access import tokens
from ...domain.access.roles import Role
from ...domain.errors import Invalid, TooLarge
from ...domain.realtime import messages, topics
from ...domain.realtime.event_frames import WholeEvents
from ...domain.realtime.messages import Delivery, Kind, Message
from ...domain.realtime.topics import Grant, Topic
from ...domain.values import canonical, ids
from ...engine.runtime.context import Context
from ...hosting import NO_STREAMS
from .. import api_tokens, auth
from ..actors import bearer, bearer_key
from ..bodies import BoundedRequest
from ..deps import context
from ..errors import answer, public_error
from ..refusals import note_refusal
from .event_streams import EventStream
from .run_streams import RunStream, run_of
from .sockets import PATH

blueprint = Blueprint("realtime", __name__)
_CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Content-Type"}
_PREFLIGHT = {"Access-Control-Allow-Methods": "GET, OPTIONS", "Access-Control-Max-Age": "3600"}
_STREAM = {
    "Cache-Control": "no-cache",
    "Connection": "keep-alive",
    "X-Accel-Buffering": "no",  # proxies pass events on at once
}


@blueprint.post("/v1/realtime/token")
def token() -> Response:
    """Make a token for topics; with ?publish=true it lets its bearer publish to them instead."""
    asked = topics.parse(canonical.loads(request.get_data(cache=False)))
    publish = request.args.get("publish", "").lower() in ("1", "true")
    if not asked and not publish:
        raise Invalid("the body must name at least one topic", field="the body")
    ctx = context()
    secret, now_s = tokens.secrets(ctx.tuning.signing_keys)[0], int(ctx.real_now().timestamp())
    return answer({"jwt": topics.make_token(asked, secret, now_s, publish=publish)}, 201)


@blueprint.post("/v1/realtime/publish")
def publish() -> Response:
    """Publish one message, or a stream of chunks. Nothing is stored."""
    channel, topic = request.args.get("channel", ""), request.args.get("topic", "")
    if not _may_publish(channel, topic):
        return _not_authenticated()
    try:
        message = _addressed(context(), channel, topic)
        if request.mimetype == "text/stream":
            _publish_stream(context(), message)
        else:
            data = messages.data_of(_whole_body())
            context().hub.publish(replace(message, data=data).delivery())
    except (Invalid, TooLarge, HTTPException) as error:
        return _refused(error)
    return Response("", 200)


@blueprint.post("/v1/realtime/publish/tee")
def tee() -> Response:
    """Pass bytes on, as they come, to those who follow a channel's stream by SSE."""
    channel = request.args.get("channel", "")
    if not _may_publish(channel, topics.STREAM):
        return _not_authenticated()
    ctx, to = context(), (Topic(channel, topics.STREAM),)
    try:
        _present("channel", channel)
        events = WholeEvents()
        for chunk in _chunks():
            if found := events.feed(chunk):
                ctx.hub.publish(Delivery(to, found))
        if found := events.rest():
            ctx.hub.publish(Delivery(to, found))
    except (Invalid, TooLarge, HTTPException) as error:
        return _refused(error)
    return Response("", 200)


@blueprint.route("/v1/realtime/sse", methods=["GET", "OPTIONS"])
def subscribe() -> Response:
    """Subscribe to a token's topics by server-sent events."""
    if request.method == "OPTIONS":
        return _preflight()
    grant = _grant()
    if grant is None or grant.may_publish:
        return _opened(_not_authenticated())
    if (why := request.environ.get(NO_STREAMS)) is not None:
        return _opened(public_error(why, 501))
    run_id = run_of(grant.topics)
    made = EventStream(context()) if run_id is None else RunStream(context(), run_id)
    stream = made.stream(grant.topics)
    return _opened(Response(stream, mimetype="text/event-stream", headers=_STREAM))


@blueprint.route(PATH, methods=["GET", "OPTIONS"])
def connect() -> Response:
    """Answer what is no WebSocket; WebSockets are served before Flask (sockets.py)."""
    if request.method == "OPTIONS":
        return _preflight()
    grant = _grant()
    if grant is None or grant.may_publish:
        return _opened(_not_authenticated())
    return _opened(public_error(f"{PATH} is for WebSockets: send Upgrade: websocket", 426))


def _preflight() -> Response:
    response = _opened(Response(status=204))
    response.headers.update(_PREFLIGHT)
    asked = request.headers.get("Access-Control-Request-Headers", "*")
    response.headers["Access-Control-Allow-Headers"] = asked
    return response


def _opened(response: Response) -> Response:
    """Let browsers read the answer from any origin."""
    response.headers.update(_CORS)
    return response


def _grant() -> Grant | None:
    """Read what the request's token allows; None without a valid one."""
    ctx = context()
    known = tokens.secrets(ctx.tuning.signing_keys)
    given = bearer() or request.args.get("token", "")
    try:
        return topics.grant_of(given, known, ctx.real_now().timestamp())
    except Invalid:
        return None


def _may_publish(channel: str, topic: str) -> bool:
    """Say whether the caller has the signing key, or a token that lets it publish there.

    Where callers need no key, only a token can refuse: one that is for subscribing, or elsewhere.
    """
    if bearer_key() is not None or (auth.needs_key() and api_tokens.lets_in(Role.OPERATOR)):
        return True
    grant = _grant()
    if grant is not None:
        return grant.allows(Topic(channel, topic))
    if auth.needs_key() or request.args.get("token"):
        note_refusal("signing key")
        return False
    return True


def _not_authenticated() -> Response:
    return public_error("Not authenticated", 401)


def _refused(error: Invalid | TooLarge | HTTPException) -> Response:
    if isinstance(error, HTTPException):
        return Response(str(error.description), 400, mimetype="text/plain")
    status = 413 if isinstance(error, TooLarge) else 400
    return Response(error.message, status, mimetype="text/plain")


def _present(name: str, value: str) -> None:
    if not value:
        raise Invalid(f"{name} is missing: add ?{name}= to the URL", field=name)


def _addressed(ctx: Context, channel: str, topic: str) -> Message:
    """Make a message without data for the topic that the URL names."""
    _present("channel", channel)
    _present("topic", topic)
    run_id = request.args.get("run_id") or None
    if run_id is not None:
        ids.check_ulid(run_id, "a run id", "run_id")
    return Message(
        Kind.DATA,
        b"null",
        ctx.now(),
        channel,
        topic,
        run_id=run_id,
        metadata=messages.metadata_of(request.args.get("metadata", "")),
    )


def _whole_body() -> bytes:
    body = request.stream.read(messages.MOST_BYTES + 1)
    if len(body) > messages.MOST_BYTES:
        raise TooLarge(f"the body is over {messages.MOST_BYTES} bytes: publish a stream, or less")
    return body


def _publish_stream(ctx: Context, message: Message) -> None:
    """Publish the body in chunks as it comes. However it ends, subscribers are told of its end."""
    stream_id = ctx.new_id()
    marks = replace(message, data=orjson.dumps(stream_id))
    ctx.hub.publish(replace(marks, kind=Kind.STREAM_START).delivery())
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        for chunk in _chunks():
            if text := decoder.decode(chunk):
                data, now = orjson.dumps(text), ctx.now()
                made = replace(
                    message, kind=Kind.CHUNK, data=data, created_at=now, stream_id=stream_id
                )
                ctx.hub.publish(made.delivery())
    finally:
        ended = replace(marks, kind=Kind.STREAM_END, created_at=ctx.now())
        ctx.hub.publish(ended.delivery())


def _chunks() -> Iterator[bytes]:
    """Read the body in pieces as they come. Raises TooLarge after MOST_STREAM_BYTES."""
    assert isinstance(request, BoundedRequest)
    left = messages.MOST_STREAM_BYTES
    while left > 0:
        chunk = request.read_some(min(messages.CHUNK_BYTES, left))
        if not chunk:
            return
        left -= len(chunk)
        yield chunk
    if request.read_some(1):
        raise TooLarge(f"the stream is over {messages.MOST_STREAM_BYTES} bytes: publish several")
