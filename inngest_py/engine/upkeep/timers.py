"""Timers: hints at items that have become due, and at those whose hint was lost."""

from datetime import timedelta

from ...storage import backlog
from ..context import HINT_GRACE, SHORTEST_PAUSE, Context


def run_once(ctx: Context) -> bool:
    """Send hints for as many due items as this worker has free slots."""
    free = ctx.tuning.slots - len(ctx.leases)
    if free <= 0:
        return False
    now = ctx.now()
    with ctx.db.reading() as tx:
        first = backlog.next_due(tx)
    if first is None or first > now:
        return False
    with ctx.db.transaction() as tx:
        hints = [
            (kind, item_id)
            for item_id, kind in backlog.due(tx, now, free, again_at=now + HINT_GRACE)
        ]
    ctx.hints.send(hints)
    return len(hints) == free


def pause(ctx: Context, longest: timedelta) -> timedelta:
    """Say how long to wait for the next due item: `longest` at the most."""
    with ctx.db.reading() as tx:
        first = backlog.next_due(tx)
    if first is None:
        return longest
    return min(longest, max(first - ctx.now(), SHORTEST_PAUSE))
