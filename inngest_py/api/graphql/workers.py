"""The workers that hold a connection: one node for each app of a connection."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ariadne import ObjectType

from ...domain.errors import NotFound
from ...domain.reports.connected_workers import ConnectedWorker
from ...domain.values.json_types import JsonObject
from ...storage.queries import worker_list
from .paging import check_first
from .request import Info, QueryContext, of
from .root import query

worker_type = ObjectType("ConnectV1WorkerConnection")
_FIELDS = {
    "CONNECTED_AT": "connectedAt",
    "LAST_HEARTBEAT_AT": "lastHeartbeatAt",
    "DISCONNECTED_AT": "disconnectedAt",
}
_NEVER = datetime.min.replace(tzinfo=UTC)


@query.field("workerConnections")
def list_workers(
    _: object,
    info: Info,
    first: int,
    filter: Mapping[str, object],
    after: str | None = None,
    orderBy: Sequence[Mapping[str, str]] | None = None,
) -> JsonObject:
    """List the connections that the filter lets through, at most 1000 of the newest."""
    check_first(first)
    request = of(info)
    found = [one for one in _nodes(request) if _fits(one, filter)]
    for rule in reversed(orderBy or [{"field": "CONNECTED_AT", "direction": "DESC"}]):
        column, descending = _FIELDS[rule["field"]], rule["direction"] == "DESC"
        found.sort(key=lambda one: _moment(one, column), reverse=descending)
    places = [_cursor(one) for one in found]
    begin = places.index(after) + 1 if after in places else 0
    page = found[begin : begin + first]
    request.count_rows(page)
    return {
        "edges": [{"cursor": _cursor(one), "node": one} for one in page],
        "pageInfo": {
            "hasNextPage": begin + first < len(found),
            "hasPreviousPage": begin > 0,
            "startCursor": _cursor(page[0]) if page else None,
            "endCursor": _cursor(page[-1]) if page else None,
        },
        "totalCount": len(found),
    }


@query.field("workerConnection")
def show_worker(_: object, info: Info, connectionId: str) -> JsonObject:
    """Find a worker's connection; that of its first app."""
    found = _nodes(of(info), connectionId)
    if not found:
        raise NotFound(f"no worker has the connection {connectionId}")
    return found[0]


def _nodes(request: QueryContext, only: str | None = None) -> list[JsonObject]:
    now = request.ctx.now()
    workers = request.read(lambda tx: worker_list.shown(tx, now, only=only))
    apps = sorted({app_id for one in workers for app_id in one.groups})
    request.apps.want(apps)
    request.app_functions.want(apps)
    return [_node(request, one, app_id) for one in workers for app_id in one.groups]


def _node(request: QueryContext, one: ConnectedWorker, app_id: str) -> JsonObject:
    app = request.apps.get(app_id)
    return {
        "id": one.id,
        "gatewayId": one.gateway_id,
        "instanceId": one.instance,
        "workerIp": "",
        "maxWorkerConcurrency": one.capacity,
        "appID": app_id,
        "app": app,
        "appName": None if app is None else app["name"],
        "connectedAt": one.connected_at,
        "lastHeartbeatAt": one.heartbeat_at,
        "disconnectedAt": one.closed_at,
        "disconnectReason": one.close_reason,
        "status": one.status.name,
        "groupHash": one.groups[app_id],
        "sdkLang": one.sdk_language,
        "sdkVersion": one.sdk_version,
        "sdkPlatform": one.platform,
        "appVersion": one.versions.get(app_id) or None,
        "functionCount": len(request.app_functions.get(app_id) or ()),
        "cpuCores": one.cores,
        "memBytes": one.memory,
        "os": one.os,
    }


def _cursor(node: JsonObject) -> str:
    return f"{node['id']}-{node['appID']}"


def _moment(node: JsonObject, column: str) -> datetime:
    found = node[column]
    return found if isinstance(found, datetime) else _NEVER


def _fits(node: JsonObject, filter: Mapping[str, object]) -> bool:
    at = _moment(node, _FIELDS[str(filter.get("timeField") or "CONNECTED_AT")])
    since, until = filter.get("from"), filter.get("until")
    if isinstance(since, datetime) and at < since:
        return False
    if isinstance(until, datetime) and at >= until:
        return False
    statuses, apps = filter.get("status"), filter.get("appIDs")
    return _among(node["status"], statuses) and _among(node["appID"], apps)


def _among(value: object, wanted: object) -> bool:
    return not isinstance(wanted, list) or value in wanted


TYPES = (worker_type,)
