"""Leases: prolong those this process works on; free those of workers that are gone."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from ... import observe
from ...domain.limits import MAX_LAPSES
from ...domain.runs.items import RUNLESS
from ...storage.db.probing import probe
from ...storage.queue import leases
from ..flow import concurrency
from ..runtime.context import Context

_BATCH = 500
_RARELY = timedelta(hours=1)


def extend(ctx: Context) -> bool:
    """Prolong the leases of the calls in flight in this process, by the database's clock."""
    ctx.db.compare_clocks()
    held = ctx.leases.all()
    if held:
        with ctx.db.transaction() as tx:
            leases.extend(tx, held, ctx.now() + ctx.tuning.lease)
    return False


class Lapsed:
    """The service that frees what silent workers hold, but not on its own absence's account.

    A process that could not look for a while, because it was paused or the database was away or
    refused writes, cannot tell who else was silent for the same reason, itself first. So it renews
    what it holds, and gives the others the time of a heartbeat before it looks again.
    """

    def __init__(self) -> None:
        self._looked_at: datetime | None = None
        self._looks_from: datetime | None = None  # until then others may renew
        self._failed = False

    def run_once(self, ctx: Context) -> bool:
        """Make items ready whose worker has not prolonged their lease in time."""
        try:
            if self._failed:
                probe(ctx.db)  # the looks that find nothing write nothing
            ctx.db.compare_clocks()
            return self._look(ctx)
        except SQLAlchemyError:
            self._failed = True
            raise

    def _look(self, ctx: Context) -> bool:
        now, patience = ctx.now(), ctx.tuning.lease / 2
        late = self._looked_at is not None and now - self._looked_at > patience
        if late or self._failed:
            extend(ctx)
            self._failed = False
            # once: who is always late must free the dead's leases, too
            self._looks_from = self._looks_from or now + patience
        self._looked_at = now
        if self._looks_from is not None and now < self._looks_from:
            return False
        self._looks_from = None
        return free_lapsed(ctx, now)


def _slow_down(tx: Connection, freed: Sequence[Any], now: datetime) -> None:
    """Let items of no run that lose every worker do so less often: nothing else can end them."""
    lost = [row for row in freed if row.lapses >= MAX_LAPSES and row.kind in RUNLESS]
    for row in lost:
        told = {"item_id": row.id, "kind": row.kind, "lapses": row.lapses}
        observe.event("item.loses_workers", level=40, **told)
    leases.delay(tx, [row.id for row in lost], now + _RARELY)


def free_lapsed(ctx: Context, now: datetime) -> bool:
    """Make items whose lease has lapsed ready; says whether there may be more of them."""
    with ctx.db.transaction() as tx:
        freed = leases.free_lapsed(tx, now, _BATCH)
        hints = concurrency.freed(tx, ctx, freed, now)
        _slow_down(tx, freed, now)
    if hints:
        ctx.hints.send(hints)
    if freed:
        observe.event("lease.lapsed", level=30, items=len(freed))
    return len(freed) == _BATCH
