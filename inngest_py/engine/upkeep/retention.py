"""Retention: delete what has served its time, in small batches."""

from ...storage import events
from ..context import Context

_BATCH = 500


def forget_keys(ctx: Context) -> bool:
    """Delete the keys of events whose 24 hours are over (events.md §5.2)."""
    with ctx.db.transaction() as tx:
        return events.forget(tx, ctx.now(), _BATCH) == _BATCH
