"""What the process of a gateway writes and reads every few seconds, for all of its connections.

It writes that the gateway and its connections live and what they have in flight, and reads which
workers are to be drained and which worker groups are current.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection as Transaction

from ...domain.connect import calls
from ...domain.connect.actions import Status
from ...domain.connect.codes import GATEWAY_GONE
from ...domain.connect.gateway_connection import HEARTBEAT
from ...domain.errors import Invalid
from ...domain.values import canonical
from ...storage.catalog import connections as rows
from ...storage.catalog import gateways
from ..runtime.connections import Connected
from ..runtime.context import Context

# how soon pages show what a worker runs, and a drained worker gets no more
EVERY = timedelta(seconds=2)
# a process that has written nothing for so long is gone, and its connections are
SILENT = timedelta(minutes=1)
# for how long pages show connections that have ended
KEPT = timedelta(minutes=10)
# of one connection, and connections whose calls have changed: as many are written at once
MOST_SHOWN = 20
_MOST_CHANGED = 100


class Beats:
    """The service of one gateway; `name` is its address, `url` what it tells workers."""

    def __init__(self, name: str, url: str | None) -> None:
        self._name, self._url = name, url or ""
        self._full_at = 0.0
        self._was_draining = False
        self._written: dict[str, tuple[int, str]] = {}  # calls in flight, of those that have any

    def run_once(self, ctx: Context) -> bool:
        """Write what has changed, or everything if that is due; then follow operators' wishes."""
        ctx.connections.end_overdue()
        here = ctx.connections.all()
        draining = ctx.connections.is_draining
        is_full = time.monotonic() >= self._full_at or draining != self._was_draining
        found = {one.id: _in_flight(one) for one in here if one.calls or one.id in self._written}
        changed = [one for one in here if found.get(one.id) != self._written.get(one.id)]
        if is_full:
            rest = (0, "[]")
            self._write_all(ctx, [(one.id, one.heard(), *found.get(one.id, rest)) for one in here])
            self._full_at = time.monotonic() + HEARTBEAT.total_seconds()
            self._was_draining = draining
            self._written = {name: calls for name, calls in found.items() if calls[0]}
        elif changed:
            changed = changed[:_MOST_CHANGED]
            with ctx.db.transaction() as tx:
                rows.beat(tx, [(one.id, one.heard(), *found[one.id]) for one in changed])
            self._written |= {one.id: found[one.id] for one in changed}
        if here:
            _drain(ctx, here)
        return False

    def _write_all(self, ctx: Context, here: Sequence[tuple[str, datetime, int, str]]) -> None:
        now, mine = ctx.now(), ctx.worker_id
        with ctx.db.transaction() as tx:
            gateway = {"id": mine, "name": self._name, "url": self._url, "heartbeat_at": now}
            gateways.put(tx, gateway | {"is_draining": ctx.connections.is_draining})
            gateways.remove_silent(tx, now - SILENT)
            rows.beat(tx, here)
            alive = [one["id"] for one in gateways.alive(tx, now - SILENT)]
            rows.close_lost(tx, alive, now, Status.DISCONNECTED.value, GATEWAY_GONE)
            rows.remove_closed(tx, now - KEPT)
            newest = _current(tx, ctx.connections.all())
        ctx.connections.set_current(newest)

    def leave(self, ctx: Context) -> None:
        """Delete this gateway's row: it stops in order."""
        with ctx.db.transaction() as tx:
            gateways.remove(tx, ctx.worker_id)


def _in_flight(one: Connected) -> tuple[int, str]:
    """Count a connection's calls, and name the items of the first of them, as JSON."""
    if not one.calls:
        return 0, "[]"
    names = sorted(one.calls)
    return len(names), canonical.dumps(
        [item for name in names[:MOST_SHOWN] if (item := _item_of(name))]
    ).decode()


def _item_of(name: str) -> str | None:
    try:
        return calls.read_request_id(name).item_id
    except Invalid:
        return None


def _current(tx: Transaction, here: Sequence[Connected]) -> dict[str, str]:
    apps = {app_id for one in here for app_id in one.groups}
    newest = {app_id: rows.current(tx, app_id) for app_id in sorted(apps)}
    return {app: group for app, group in newest.items() if group}


def _drain(ctx: Context, here: Sequence[Connected]) -> None:
    with ctx.db.reading() as tx:
        wanted = rows.to_drain(tx, ctx.worker_id)
    for one in here:
        if one.is_held != (one.id in wanted):
            one.hold(one.id in wanted)
