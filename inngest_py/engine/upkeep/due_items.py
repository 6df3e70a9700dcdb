"""Due items: send hints for items that have become due, and for items whose hint was lost."""

import time
from datetime import UTC, datetime, timedelta

from ...domain.runs.items import HINT_GRACE
from ...storage.queue import backlog
from ..runtime.context import SHORTEST_DELAY, Context
from .service_ticks import until_wakeup

# after so long with nothing due, a process looks half as often; if it is alone, once per second
_BUSY = timedelta(seconds=5)
_SECOND = timedelta(seconds=1)
# how long to look at every tick after a commit: a look after each of many commits would cost more
_STIRRED = timedelta(seconds=1)


class DueItems:
    """The service: one read finds out whether items are due, and when to look again."""

    def __init__(self) -> None:
        self._busy_until = datetime.min.replace(tzinfo=UTC)
        self._seen: tuple[datetime | None] | None = None  # what the last look found, if it lasts

    def run_once(self, ctx: Context) -> bool:
        """Send hints for as many due items as this worker has free slots."""
        self._seen = None
        ctx.db.written.clear()
        free = ctx.tuning.slots - len(ctx.leases)
        if free <= 0:
            return False
        now, first = ctx.now(), _next_due(ctx)
        if first is None or first > now:
            self._seen = (first,)
            return False
        self._busy_until = now + _BUSY
        # vary the time: in step with the broker, hints could go to the same dead consumer for ever
        again_at = now + HINT_GRACE * (1 + ctx.jitter() / 4)
        with ctx.db.transaction() as tx:
            hints = [(kind, item_id) for item_id, kind in backlog.due(tx, now, free, again_at)]
        ctx.hints.send(hints)
        return len(hints) == free

    def delay(self, ctx: Context, longest: timedelta) -> timedelta:
        """Say how long to wait for the next due item: `longest` at most, a tick more when idle.

        An item that is stored meanwhile, and due before the next look, is late by the rest of that
        time. A process that is alone waits here instead, until something is stored.
        """
        (first,), now = self._seen or (_next_due(ctx),), ctx.now()
        idle = now > self._busy_until and not ctx.leases
        if idle:
            longest += ctx.tuning.tick
        if idle and ctx.tuning.alone and longest < _SECOND:
            longest = until_wakeup(timedelta(seconds=time.monotonic()), _SECOND, ctx.phase)
        if first is not None:
            longest = min(longest, max(first - now, SHORTEST_DELAY))
        if not (idle and ctx.tuning.alone):
            return longest
        # only commits of this process make items, so none can be missed
        if ctx.db.written.wait(longest.total_seconds()):
            self._busy_until = ctx.now() + _STIRRED
        return timedelta(0)


def _next_due(ctx: Context) -> datetime | None:
    with ctx.db.reading() as tx:
        return backlog.next_due(tx)
