"""`/api/v1/connections`: the connected workers; drain one, and let it work again."""

from typing import TypedDict

from flask import Response
from marshmallow import Schema, fields

from ...domain.errors import NotFound
from ...domain.reports.connected_workers import ConnectedWorker
from ...domain.values.json_types import JsonObject
from ...engine.connect import drains
from ...storage.queries import app_list, worker_list
from .. import shapes
from ..actors import actor
from ..deps import context
from ..errors import answer
from . import openapi

blueprint = openapi.documented("connections")


class ConnectionsQuery(Schema):
    """Which connections to list."""

    app = fields.String(metadata={"description": "only those of an app, by its name"})
    gone = fields.Boolean(
        load_default=False, metadata={"description": "also those that ended in the last minutes"}
    )


class ConnectionList(Schema):
    """Connections of workers."""

    data = fields.List(fields.Dict(), required=True)


class ConnectionAnswer(Schema):
    """One connection."""

    data = fields.Dict(required=True)


class ConnectionsArguments(TypedDict, total=False):
    """The query of the list, as ConnectionsQuery reads it."""

    app: str
    gone: bool


@blueprint.get("/connections")
@blueprint.arguments(ConnectionsQuery, location="query")
@blueprint.alt_response(400, schema=openapi.Problem)
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.response(200, ConnectionList)
def list_connections(query: ConnectionsArguments) -> Response:
    """List the connected workers, the newest first: at most 1000.

    `status` is connecting, ready, draining, moving (to another gateway) or gone.
    """
    with context().db.reading() as tx:
        apps = {row["id"]: row["name"] for row in app_list.every(tx)}
        found = worker_list.shown(tx, context().now())
    name = query.get("app")
    if name is not None and name not in apps.values():
        raise NotFound(f"app {name[:255]!r} does not exist")
    mine = [one for one in found if name is None or name in _names(one, apps)]
    shown = [_shaped(one, apps) for one in mine if one.is_open or query.get("gone")]
    return answer({"data": shown})


@blueprint.post("/connections/<connection_id>/drain")
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.response(200, ConnectionAnswer)
def drain(connection_id: str) -> Response:
    """Let a worker end the calls that it has, and get no more.

    It stays connected. It may work again after a restart, or by /resume.
    """
    drains.drain(context(), connection_id, actor())
    return _one(connection_id)


@blueprint.post("/connections/<connection_id>/resume")
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.response(200, ConnectionAnswer)
def resume(connection_id: str) -> Response:
    """Let a drained worker get work again."""
    drains.resume(context(), connection_id, actor())
    return _one(connection_id)


def _one(connection_id: str) -> Response:
    with context().db.reading() as tx:
        apps = {row["id"]: row["name"] for row in app_list.every(tx)}
        found = worker_list.shown(tx, context().now(), only=connection_id)
    if not found:
        raise NotFound(f"no worker has the connection {connection_id[:64]!r}")
    return answer({"data": _shaped(found[0], apps)})


def _names(one: ConnectedWorker, apps: dict[str, str]) -> list[str]:
    return [apps[app_id] for app_id in one.groups if app_id in apps]


def _shaped(one: ConnectedWorker, apps: dict[str, str]) -> JsonObject:
    return {
        "id": one.id,
        "instance": one.instance,
        "status": one.state,
        "apps": [
            {"id": app_id, "name": apps.get(app_id), "version": one.versions.get(app_id) or None}
            for app_id in one.groups
        ],
        "sdk": one.sdk,
        "platform": one.platform,
        "system": one.system,
        "capacity": one.capacity,
        "in_flight": one.in_flight,
        "runs": [
            {"id": call.run_id, "function": call.function, "step": call.step} for call in one.runs
        ],
        "gateway": one.gateway,
        "connected_at": shapes.stamp(one.connected_at),
        "heartbeat_at": shapes.stamp(one.heartbeat_at),
        "drain_asked_at": shapes.stamp(one.drain_asked_at),
        "closed_at": shapes.stamp(one.closed_at),
        "close_reason": one.close_reason,
    }
