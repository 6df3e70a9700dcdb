"""Timers: hints at items that have become due, and at those whose hint was lost."""

from datetime import UTC, datetime, timedelta

from ...storage import backlog
from ..context import HINT_GRACE, SHORTEST_PAUSE, Context

# with nothing due for so long, this process looks half as often
_BUSY = timedelta(seconds=5)


class Timers:
    """The service: one look serves both to find what is due and to say when to look again."""

    def __init__(self) -> None:
        self._busy_until = datetime.min.replace(tzinfo=UTC)
        self._seen: tuple[datetime | None] | None = None  # what the last look found, if it lasts

    def run_once(self, ctx: Context) -> bool:
        """Send hints for as many due items as this worker has free slots."""
        self._seen = None
        free = ctx.tuning.slots - len(ctx.leases)
        if free <= 0:
            return False
        now, first = ctx.now(), _next_due(ctx)
        if first is None or first > now:
            self._seen = (first,)
            return False
        self._busy_until = now + _BUSY
        # in step with the broker's own rhythm, hints could go to the same deaf consumer for ever
        again_at = now + HINT_GRACE * (1 + ctx.jitter() / 4)
        with ctx.db.transaction() as tx:
            hints = [(kind, item_id) for item_id, kind in backlog.due(tx, now, free, again_at)]
        ctx.hints.send(hints)
        return len(hints) == free

    def pause(self, ctx: Context, longest: timedelta) -> timedelta:
        """Say how long to wait for the next due item: `longest` at the most, and a tick when idle.

        What is stored meanwhile and due before the next look is late by the rest of that time.
        """
        (first,), now = self._seen or (_next_due(ctx),), ctx.now()
        if now > self._busy_until and not ctx.leases:
            longest += ctx.tuning.tick
        if first is None:
            return longest
        return min(longest, max(first - now, SHORTEST_PAUSE))


def _next_due(ctx: Context) -> datetime | None:
    with ctx.db.reading() as tx:
        return backlog.next_due(tx)
