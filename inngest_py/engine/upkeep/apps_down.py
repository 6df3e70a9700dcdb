"""Apps that are down: write what calls of this process told, and read what others wrote.

See runtime/apps_down.py.
"""

import time
from collections.abc import Sequence
from datetime import timedelta

from ... import observe
from ...storage.catalog import apps_down as rows
from ..runtime.apps_down import Change
from ..runtime.context import Context

EVERY = timedelta(seconds=1)
_LOOK_SECONDS = 5.0


class AppsDown:
    """The service; an app that is back is told by the first process that gets an answer."""

    def __init__(self) -> None:
        self._look_at = 0.0

    def run_once(self, ctx: Context) -> bool:
        """Write changes, if there are any, and read the apps that are down every few seconds."""
        changes = ctx.apps_down.take()
        if changes:
            try:
                _write(ctx, changes)
            except Exception:
                ctx.apps_down.give_back(changes)
                raise
        is_due = ctx.apps_down.has_called and time.monotonic() >= self._look_at
        if changes or is_due:
            with ctx.db.reading() as tx:
                ctx.apps_down.know(rows.every(tx))
            self._look_at = time.monotonic() + _LOOK_SECONDS
        return False


def _write(ctx: Context, changes: Sequence[Change]) -> None:
    told = []
    with ctx.db.transaction() as tx:
        for one in sorted(changes, key=lambda change: change.app_id):  # no deadlock
            if one.cause is None:
                is_new = rows.clear(tx, one.app_id, one.at)
            else:
                is_new = rows.mark(tx, one.app_id, one.at, one.cause)
            if is_new:
                told.append(one)
    for one in told:
        if one.cause is None:
            observe.event("app.back", app_id=one.app_id)
        else:
            observe.event("app.down", level=30, app_id=one.app_id, error=one.cause)
