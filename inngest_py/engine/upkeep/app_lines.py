"""Fairness among apps: learn which apps there are, and let in waiting jobs as calls end.

See runtime/app_fairness.py.
"""

import time
from datetime import timedelta

from ... import observe
from ...domain.runs.items import HINT_GRACE
from ...storage.queue import waiting_lines
from ..runtime import app_fairness
from ..runtime.context import Context

EVERY = timedelta(seconds=1)
_LOOK_SECONDS = 5.0
# after calls that end within this time, jobs are let in by one transaction
_GATHER = timedelta(milliseconds=10)


class AppLines:
    """The service: reads the lines every few seconds, and lets jobs in at once when calls end.

    `connected_only` is for a process that has connections of workers, and calls nobody else.
    """

    def __init__(self, *, connected_only: bool = False) -> None:
        self._connected_only = connected_only
        self._look_at = 0.0

    def run_once(self, ctx: Context) -> bool:
        """Let in the first jobs of hosts that have room in this process."""
        if ctx.tuning.slots < 2:
            return False
        if time.monotonic() >= self._look_at:
            self._look(ctx)
            self._look_at = time.monotonic() + _LOOK_SECONDS
        for host in ctx.fairness.waiting_hosts:
            if self._connected_only and not host.startswith(app_fairness.CONNECTED):
                continue
            room = ctx.fairness.room(host)
            if room:
                _let_in(ctx, host, room)
        return False

    def delay(self, ctx: Context, longest: timedelta) -> timedelta:
        """Wait here until a call ends; then a moment longer, for other calls to end as well."""
        ended = ctx.fairness.wait(longest.total_seconds())
        return _GATHER if ended else timedelta(0)

    def _look(self, ctx: Context) -> None:
        with ctx.db.reading() as tx:
            ctx.catalog.refresh(tx)
            lines = waiting_lines.names(tx, app_fairness.LINE_PREFIX)
        functions = ctx.catalog.by_id.values()
        places = {app_fairness.place_of(function) for function in functions}
        ctx.fairness.set_hosts(one for one in places if self._is_called_here(ctx, one))
        for gate in lines:
            ctx.fairness.note_line(gate.removeprefix(app_fairness.LINE_PREFIX))

    def _is_called_here(self, ctx: Context, place: str) -> bool:
        """Say whether this process calls an app, which has a part of the slots then."""
        if place.startswith(app_fairness.CONNECTED):
            return ctx.fairness.capacity(place.removeprefix(app_fairness.CONNECTED)) > 0
        return not self._connected_only


def _let_in(ctx: Context, host: str, room: int) -> None:
    now = ctx.now()
    with ctx.db.transaction() as tx:
        hints = waiting_lines.let_in_first(
            tx, app_fairness.LINE_PREFIX + host, room, now + HINT_GRACE
        )
    if len(hints) < room:
        ctx.fairness.note_no_line(host)
    if hints:
        observe.event("app.let_in", level=10, host=host, items=len(hints))
        begin = ctx.connections.begin
        if begin is not None and host.startswith(app_fairness.CONNECTED):
            begin(hints)
        else:
            ctx.hints.send(hints)
