"""Leases: prolong those this process works on; free those of workers that are gone."""

from ... import observe
from ...storage import queue
from ..context import Context

_BATCH = 500


def extend(ctx: Context) -> bool:
    """Prolong the leases of the calls in flight in this process."""
    held = ctx.leases.all()
    if held:
        with ctx.db.transaction() as tx:
            queue.extend(tx, held, ctx.now() + ctx.tuning.lease)
    return False


def free_lapsed(ctx: Context) -> bool:
    """Make items ready whose worker has not prolonged their lease in time."""
    with ctx.db.transaction() as tx:
        freed = queue.free_lapsed(tx, ctx.now(), _BATCH)
    if freed:
        observe.event("lease.lapsed", level=30, items=freed)
    return freed == _BATCH
