"""Leases: prolong those this process works on; free those of workers that are gone."""

from ... import observe
from ...storage import leases
from ..context import Context
from ..flow import concurrency

_BATCH = 500


def extend(ctx: Context) -> bool:
    """Prolong the leases of the calls in flight in this process."""
    held = ctx.leases.all()
    if held:
        with ctx.db.transaction() as tx:
            leases.extend(tx, held, ctx.now() + ctx.tuning.lease)
    return False


def free_lapsed(ctx: Context) -> bool:
    """Make items ready whose worker has not prolonged their lease in time."""
    now = ctx.now()
    with ctx.db.transaction() as tx:
        freed = leases.free_lapsed(tx, now, _BATCH)
        hints = concurrency.freed(tx, ctx, freed, now)
    if hints:
        ctx.hints.send(hints)
    if freed:
        observe.event("lease.lapsed", level=30, items=len(freed))
    return len(freed) == _BATCH
