"""Retention: delete what has served its time, in small batches."""

from datetime import timedelta

from ...domain.flow import gcra
from ...storage.events import events, waits
from ...storage.flow import buckets
from ...storage.operations import operators
from ..runtime.context import Context

_BATCH = 500
# what was never consumed: a time-out deletes its pause itself (waits.md §2)
_PAUSE_GRACE = timedelta(minutes=20)


def forget_keys(ctx: Context) -> bool:
    """Delete the keys of events whose 24 hours are over (events.md §5.2)."""
    with ctx.db.transaction() as tx:
        return events.forget(tx, ctx.now(), _BATCH) == _BATCH


def forget_pauses(ctx: Context) -> bool:
    """Delete the pauses that expired and were never consumed (waits.md §2)."""
    with ctx.db.transaction() as tx:
        return waits.forget(tx, ctx.now() - _PAUSE_GRACE, _BATCH) == _BATCH


def forget_buckets(ctx: Context) -> bool:
    """Delete the buckets of rate limits and throttles that are idle again."""
    with ctx.db.transaction() as tx:
        return buckets.forget(tx, gcra.to_ns(ctx.now()), _BATCH) == _BATCH


def forget_acts(ctx: Context) -> bool:
    """Delete the rows of the audit log that have been kept for long enough."""
    kept = ctx.tuning.keep_audit
    if kept is None:
        return False
    with ctx.db.transaction() as tx:
        return operators.forget_acts(tx, ctx.now() - kept, _BATCH) == _BATCH
