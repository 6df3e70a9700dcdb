"""`/v0/connect`: where a worker connects, and answers that it could not send (connect.md §1)."""

import random
from collections.abc import Collection
from urllib.parse import urlsplit

from flask import Blueprint, Response, request
from google.protobuf.message import DecodeError, Message
from sqlalchemy import RowMapping

from ... import observe, proxies
from ...config import Settings
from ...domain.access import tokens
from ...domain.connect import calls
from ...domain.connect.messages_pb2 import FlushResponse, StartRequest, StartResponse
from ...domain.errors import Invalid, NotFound
from ...domain.values import canonical, ids
from ...domain.values.json_types import JsonObject
from ...engine.connect import answers
from ...hosting import NO_WEB_SOCKETS
from ...storage.queries import worker_list
from .. import shapes
from ..deps import context, deps
from ..errors import answer, public_error

blueprint = Blueprint("connect", __name__, url_prefix="/v0/connect")
_DEV_GROUP = "gw-dev"
# A server that stops answers late. SDKs count refusals, and wait the longer the more there were, up
# to five minutes (TypeScript) or for ever (Python, after five); Python waits 5 s for an answer.
_HOLD_SECONDS = 4.0


@blueprint.post("/start")
def start() -> Response:
    """Tell a worker where to connect, and give it the tokens for one connection."""
    try:
        given = StartRequest.FromString(request.get_data(cache=False))
    except DecodeError:
        raise Invalid("the body is not a StartRequest") from None
    ctx, settings = context(), deps().settings
    other = _another(given.exclude_gateways)
    if other is None and ctx.connections.is_draining:
        ctx.connections.closed.wait(_HOLD_SECONDS)
        return public_error("the server stops: try again", 503)
    if other is None and ctx.connections.is_full():
        most = settings.connect_max_connections
        observe.event("connect.full", level=30, connections=most)
        return public_error(
            f"this server has {most} connections of workers, and takes no more: start another one,"
            " or let it take more by INNGEST_CONNECT_MAX_CONNECTIONS",
            429,
        )
    if other is None and settings.connect_url is None and NO_WEB_SOCKETS in request.environ:
        return public_error(
            f"{request.environ[NO_WEB_SOCKETS]}, and tell workers of it by INNGEST_CONNECT_URL", 501
        )
    connection_id, now_s = ctx.new_id(), int(ctx.real_now().timestamp())
    secret = tokens.secrets(ctx.tuning.signing_keys)[0]
    return _answer(
        StartResponse(
            connection_id=connection_id,
            gateway_endpoint=_endpoint(settings) if other is None else other["url"],
            gateway_group=_group(ctx.worker_id if other is None else other["id"]),
            session_token=tokens.connect_session(connection_id, secret, now_s),
            sync_token=tokens.connect_sync(connection_id, secret, now_s),
        )
    )


def _group(gateway_id: str) -> str:
    return _DEV_GROUP if deps().settings.dev else f"gw-{gateway_id}"


def _another(excluded: Collection[str]) -> RowMapping | None:
    """Choose another gateway for a worker that may not come to this one, or that has no place here.

    None means this one: none of the others has a URL of its own, or the worker may come here.
    """
    ctx = context()
    here = ctx.connections
    mine = _group(ctx.worker_id)
    if mine not in excluded and not here.is_draining and not here.is_full():
        return None
    with ctx.db.reading() as tx:
        found = worker_list.gateways(tx, ctx.now())
    own = next((one["url"] for one in found if one["id"] == ctx.worker_id), "")
    others = [one for one in found if one["url"] not in ("", own) and not one["is_draining"]]
    wanted = [one for one in others if _group(one["id"]) not in excluded]
    return random.choice(wanted) if wanted else None


def _endpoint(settings: Settings) -> str:
    """Write the WebSocket's URL: as configured, else at the host by which the worker came here."""
    if settings.connect_url is not None:
        return settings.connect_url
    scheme = "wss" if proxies.is_https(settings, request) else "ws"
    netloc = request.host
    if settings.gateway_port is not None:
        host = urlsplit(f"//{netloc}").hostname or settings.host
        netloc = f"[{host}]" if ":" in host else host
        netloc = f"{netloc}:{settings.gateway_port}"
        return f"{scheme}://{netloc}/v0/connect"
    return f"{scheme}://{netloc}{request.script_root}/v0/connect"


@blueprint.post("/flush")
def flush() -> Response:
    """Take an answer that its worker could not send over a connection."""
    response = calls.read_response(request.get_data(cache=False))
    reply = calls.reply_of(response)
    answers.take(context(), response.request_id, reply, None)
    return _answer(FlushResponse(request_id=response.request_id))


@blueprint.get("/envs/<env>/conns")
def connections(env: str) -> Response:
    """List the open connections."""
    with context().db.reading() as tx:
        found = worker_list.connections(tx)
    return answer({"data": [_connection(row) for row in found]})


@blueprint.get("/envs/<env>/groups/<group>")
def worker_group(env: str, group: str) -> Response:
    """Show a worker group, with the ids of its connections."""
    with context().db.reading() as tx:
        row = worker_list.worker_group(tx, group)
        open_now = worker_list.connections(tx) if row is not None else []
    if row is None:
        raise NotFound("worker group not found")
    mine = [one["id"] for one in open_now if group in canonical.loads(one["groups"]).values()]
    shown = {
        "account_id": ids.DEV_ACCOUNT_ID,
        "env_id": ids.DEV_ENV_ID,
        "app_id": row["app_id"],
        "app_version": row["app_version"] or None,
        "sdk_lang": row["sdk_language"],
        "sdk_version": row["sdk_version"],
        "sdk_platform": row["platform"],
        "sync_id": row["sync_id"],
        "hash": group,
        "synced": True,
        "conns": mine,
    }
    return answer({"data": shown})


def _connection(row: RowMapping) -> JsonObject:
    groups = {group: app_id for app_id, group in canonical.loads(row["groups"]).items()}
    return {
        "id": row["id"],
        "gateway_id": row["gateway_id"],
        "instance_id": row["instance_id"],
        "all_worker_groups": groups,
        "synced_worker_groups": groups,
        "status": row["status"],
        "last_heartbeat_at": shapes.stamp(row["heartbeat_at"]),
        "sdk_language": row["sdk_language"],
        "sdk_version": row["sdk_version"],
        "attributes": canonical.loads(row["attributes"]),
    }


def _answer(message: Message) -> Response:
    return Response(message.SerializeToString(), mimetype="application/octet-stream")
