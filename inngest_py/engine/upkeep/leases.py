"""Leases: prolong those this process works on; free those of workers that are gone."""

from datetime import datetime

from ... import observe
from ...storage import leases
from ..context import Context
from ..flow import concurrency

_BATCH = 500


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

    A process that could not look for a while, because it was paused or the database was away,
    cannot tell who else was silent for the same reason, itself first. So it renews what it holds,
    and gives the others the time of a heartbeat before it looks again.
    """

    def __init__(self) -> None:
        self._looked_at: datetime | None = None
        self._looks_from: datetime | None = None  # until then others may renew

    def run_once(self, ctx: Context) -> bool:
        """Make items ready whose worker has not prolonged their lease in time."""
        ctx.db.compare_clocks()
        now, patience = ctx.now(), ctx.tuning.lease / 2
        if self._looked_at is not None and now - self._looked_at > patience:
            extend(ctx)
            # once: who is always late must free the dead's leases, too
            self._looks_from = self._looks_from or now + patience
        self._looked_at = now
        if self._looks_from is not None and now < self._looks_from:
            return False
        self._looks_from = None
        return free_lapsed(ctx, now)


def free_lapsed(ctx: Context, now: datetime) -> bool:
    """Make items whose lease has lapsed ready; says whether there may be more of them."""
    with ctx.db.transaction() as tx:
        freed = leases.free_lapsed(tx, now, _BATCH)
        hints = concurrency.freed(tx, ctx, freed, now)
    if hints:
        ctx.hints.send(hints)
    if freed:
        observe.event("lease.lapsed", level=30, items=len(freed))
    return len(freed) == _BATCH
