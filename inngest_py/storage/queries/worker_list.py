"""The list of workers that are alive, by their heartbeats; and connections of apps' workers."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, bindparam, func, select

from ...domain.connect.actions import Status
from ...domain.reports.connected_workers import ConnectedWorker, RunningCall
from ...domain.runs.items import ItemState
from ...domain.values import canonical
from ..catalog import gateways as gateway_rows
from ..catalog.connections import ConnectionRow, WorkerGroup
from ..catalog.functions import FunctionRow
from ..db.columns import table_of
from ..operations.workers import Worker
from ..queue.queue_items import QueueItem
from ..runs.runs import RunRow

# how long a silent worker counts as alive: three heartbeats
ALIVE = timedelta(seconds=30)
LINE = "app:connect:"  # begins the waiting line of a connected app; its id follows
MOST_CONNECTED = 1000  # connections that are listed
_workers = table_of(Worker)
_items, _runs, _functions = table_of(QueueItem), table_of(RunRow), table_of(FunctionRow)
_connections, _groups = table_of(ConnectionRow), table_of(WorkerGroup)


def alive(tx: Connection, now: datetime) -> list[RowMapping]:
    """List the workers that are alive now, by name."""
    heard = _workers.c.heartbeat_at >= now - ALIVE
    return list(tx.execute(select(_workers).where(heard).order_by(_workers.c.name)).mappings())


_connected = select(_connections).where(_connections.c.closed_at.is_(None))
_connected = _connected.order_by(_connections.c.id)


def connections(tx: Connection) -> list[RowMapping]:
    """List the open connections of workers, those that connected first first."""
    return list(tx.execute(_connected).mappings())


_shown = select(_connections).order_by(_connections.c.connected_at.desc(), _connections.c.id)
_version = select(_groups.c.hash, _groups.c.app_version)


def shown(
    tx: Connection, now: datetime, *, most: int = MOST_CONNECTED, only: str | None = None
) -> list[ConnectedWorker]:
    """List connections, the newest first, also those that have ended lately; or one by its id."""
    query = _shown if only is None else _shown.where(_connections.c.id == only)
    rows = list(tx.execute(query.limit(most)).mappings())
    named = {group for row in rows for group in canonical.loads(row["groups"]).values()}
    found = tx.execute(_version.where(_groups.c.hash.in_(named))).mappings()
    groups = {row["hash"]: row for row in found}
    items = of_items(tx, [one for row in rows for one in canonical.loads(row["requests"])])
    names = {row["id"]: row["name"] for row in gateway_rows.alive(tx, now - ALIVE * 2)}
    return [_worker(row, items, groups, names) for row in rows]


def _worker(
    row: RowMapping,
    items: Mapping[str, RowMapping],
    groups: Mapping[str, RowMapping],
    names: Mapping[str, str],
) -> ConnectedWorker:
    mine, has = canonical.loads(row["groups"]), canonical.loads(row["attributes"])
    known = {app: groups[one]["app_version"] for app, one in mine.items() if one in groups}
    calls = [items[one] for one in canonical.loads(row["requests"]) if one in items]
    return ConnectedWorker(
        id=row["id"],
        instance=row["instance_id"],
        status=Status(row["status"]),
        versions=known,
        groups=mine,
        sdk_language=row["sdk_language"],
        sdk_version=row["sdk_version"],
        platform=row["platform"],
        os=has["os"],
        cores=has["cpu_cores"],
        memory=has["mem_bytes"],
        capacity=row["capacity"],
        in_flight=row["in_flight"],
        runs=[RunningCall(one["id"], one["function_slug"], one["step_name"]) for one in calls],
        gateway_id=row["gateway_id"],
        gateway=names.get(row["gateway_id"], row["gateway_id"]),
        connected_at=row["connected_at"],
        heartbeat_at=row["heartbeat_at"],
        drain_asked_at=row["drain_asked_at"],
        closed_at=row["closed_at"],
        close_reason=row["close_reason"],
    )


def gateways(tx: Connection, now: datetime) -> list[RowMapping]:
    """List the gateways that are alive now, by name."""
    return gateway_rows.alive(tx, now - ALIVE)


def of_items(tx: Connection, item_ids: Sequence[str]) -> dict[str, RowMapping]:
    """Find the runs of items that are leased, by the items' ids."""
    slug = _functions.c.slug.label("function_slug")
    found = (
        select(_items.c.id.label("item_id"), _items.c.step_name, _runs.c.id, slug)
        .join(_runs, _runs.c.id == _items.c.run_id)
        .join(_functions, _functions.c.id == _runs.c.function_id)
        .where(_items.c.id.in_(item_ids), _items.c.state == ItemState.LEASED.value)
    )
    return {row["item_id"]: row for row in tx.execute(found).mappings()}


_line = (
    select(_items.c.gate, func.count())
    .where(_items.c.state == ItemState.WAITING.value, _items.c.gate.startswith(LINE))
    .group_by(_items.c.gate)
)


def waiting(tx: Connection) -> dict[str, int]:
    """Count the items that wait for a connected worker, by the app's id."""
    return {row[0].removeprefix(LINE): row[1] for row in tx.execute(_line)}


_group = select(_groups).where(_groups.c.hash == bindparam("hash"))


def worker_group(tx: Connection, group: str) -> RowMapping | None:
    """Find a worker group by its hash; None when there is none."""
    return tx.execute(_group, {"hash": group}).mappings().first()
