"""Sync of the apps of a worker that connects, and the row of its connection (connect.md §3)."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection as Transaction
from sqlalchemy import RowMapping

from ...domain.connect.actions import Status
from ...domain.connect.codes import WORKER_SHUTDOWN
from ...domain.connect.worker_hello import Worker, WorkerApp
from ...domain.values import canonical
from ...storage.catalog import connections as rows
from ...storage.queries import app_list, worker_list
from ..apps import register
from ..runtime.context import Context

# for how long a drained worker stays so that has lost its connection
_COMES_BACK = timedelta(minutes=1)


def sync(ctx: Context, worker: Worker) -> tuple[dict[str, str], dict[str, str]]:
    """Sync a worker's apps; return the worker group of each, and the current one, by the app's id.

    A group that was synced before stays as it is while workers of a newer one are connected: in a
    rolling deploy, a worker of the old version may lose its connection and come back.
    Raises Invalid.
    """
    groups: dict[str, str] = {}
    newest: dict[str, str] = {}
    for app in worker.apps:
        with ctx.db.reading() as tx:
            replaced = _replaced(tx, app)
        if replaced is not None:
            app_id, current = replaced
            newest[app_id] = current
        else:
            done = register.register(ctx, app.sync)
            _store_group(ctx, worker, app, done)
            app_id, newest[done.app_id] = done.app_id, app.group
        groups[app_id] = app.group
    return groups, newest


def _replaced(tx: Transaction, app: WorkerApp) -> tuple[str, str] | None:
    """Return the app's id and its newer group, if workers of that are connected."""
    row = app_list.by_name(tx, app.name)
    if row is None or not rows.is_known(tx, app.group):
        return None
    app_id: str = row["id"]
    newest = rows.current(tx, app_id)
    if newest == app.group or newest is None:
        return None
    there = (canonical.loads(one["groups"]) for one in worker_list.connections(tx))
    found = any(groups.get(app_id) == newest for groups in there)
    return (app_id, newest) if found else None


def _store_group(ctx: Context, worker: Worker, app: WorkerApp, done: register.Registered) -> None:
    values = {
        "hash": app.group,
        "app_id": done.app_id,
        "app_version": app.version,
        "sdk_language": worker.sdk_language,
        "sdk_version": worker.sdk_version,
        "platform": worker.platform,
        "sync_id": done.sync_id,
        "synced_at": ctx.now(),
    }
    with ctx.db.transaction() as tx:
        if not done.modified and rows.current(tx, done.app_id) == app.group:
            return  # one more worker of the group
        rows.put_group(tx, values)


class Before(NamedTuple):
    """Whether a worker of this name was connected lately, and whether it is drained."""

    is_known: bool
    is_drained: bool


def store(ctx: Context, worker: Worker, groups: dict[str, str]) -> Before:
    """Write that a worker is connected here; say what was known of it before.

    One that was drained and has lost its connection stays so, unless it had shut down.
    """
    now = ctx.now()
    attributes = {
        "cpu_cores": worker.cpu_cores,
        "mem_bytes": worker.memory_bytes,
        "os": worker.system,
    }
    with ctx.db.transaction() as tx:
        last = rows.last_of(tx, worker.instance_id)
        drained = None if last is None else _drained(last, now)
        rows.put(
            tx,
            {
                "id": worker.connection_id,
                "gateway_id": ctx.worker_id,
                "instance_id": worker.instance_id,
                "status": Status.CONNECTED.value,
                "groups": canonical.dumps(groups).decode(),
                "capacity": worker.capacity,
                "in_flight": 0,
                "sdk_language": worker.sdk_language,
                "sdk_version": worker.sdk_version,
                "platform": worker.platform,
                "attributes": canonical.dumps(attributes).decode(),
                "connected_at": now,
                "heartbeat_at": now,
                "drain_asked_at": drained,
            },
        )
    return Before(last is not None, drained is not None)


def _drained(last: RowMapping, now: datetime) -> datetime | None:
    """Say since when a worker is drained, by its last connection."""
    closed_at, found = last["closed_at"], last["drain_asked_at"]
    over = closed_at is not None and closed_at < now - _COMES_BACK
    drained: datetime | None = found
    return None if over or last["close_reason"] == WORKER_SHUTDOWN else drained


def note_status(ctx: Context, connection_id: str, status: Status, reason: str) -> None:
    """Write where a connection is; `reason` says why it has ended, if it has."""
    with ctx.db.transaction() as tx:
        if status is Status.DISCONNECTED:
            rows.close(tx, connection_id, status.value, ctx.now(), reason)
        else:
            rows.set_status(tx, connection_id, status.value)
