"""Pruning: delete ended runs that need not be kept any more, in small batches.

Every worker prunes: batches skip rows that others have locked. A process rests four times as long
as each batch has taken, so that pruning many runs leaves the database free for other work.
"""

from datetime import datetime, timedelta

from ... import observe
from ...domain.runs.retention import events_before
from ...storage.operations import pruning
from ..runtime.context import Context
from .service_ticks import Resting

EVERY = timedelta(minutes=1)
_RUNS = 100
_EVENTS = 500
# How often all old events are looked at again: what an event was kept for may be gone by then.
_SWEEP_AGAIN = timedelta(hours=6)


class Pruning(Resting):
    """The service: a round deletes what may go at its start, then waits for the next round."""

    def __init__(self) -> None:
        self._before: datetime | None = None  # of the round under way
        self._pruned = 0
        self._place: pruning.Position | None = None
        self._swept_at: datetime | None = None  # when the sweep last began at the first event
        super().__init__(self._batch)

    def delay(self, ctx: Context, longest: timedelta) -> timedelta:
        """Say how long to wait: short between the batches of a round."""
        if self.rest is not None:
            return self.rest
        age = ctx.tuning.keep.age
        often = longest if age is None else min(longest, max(age / 10, timedelta(seconds=1)))
        return often * (0.9 + 0.2 * ctx.jitter())

    def _batch(self, ctx: Context) -> bool:
        """Delete the next batch of the round, or begin a round; say whether it has more batches."""
        now = ctx.now()
        if ctx.tuning.keep.all:
            return False
        if self._before is None:
            self._before = self._begin(ctx, now)
            if self._before is None:
                return False
        if self._runs(ctx, self._before, now) or self._events(ctx, self._before, now):
            return True
        if self._pruned:
            observe.event("runs.pruned", runs=self._pruned, before=self._before.isoformat())
        self._before, self._pruned = None, 0
        return False

    def _begin(self, ctx: Context, now: datetime) -> datetime | None:
        keep = ctx.tuning.keep
        with ctx.db.reading() as tx:
            oldest = None if keep.count is None else pruning.oldest_kept(tx, keep.count)
        return keep.before(now, oldest)

    def _runs(self, ctx: Context, before: datetime, now: datetime) -> bool:
        with ctx.db.reading() as tx:
            if not pruning.finished_before(tx, before):
                return False
        with ctx.db.transaction() as tx:
            done = pruning.prune_runs(tx, before, events_before(before, now), _RUNS)
        self._pruned += done.runs
        return done.full

    def _events(self, ctx: Context, before: datetime, now: datetime) -> bool:
        """Sweep the next old events; say whether there are more."""
        if self._swept_at is None or now - self._swept_at > _SWEEP_AGAIN:
            self._swept_at, self._place = now, None
        until = events_before(before, now)
        with ctx.db.reading() as tx:
            if not pruning.came_before(tx, until, self._place):
                return False
        with ctx.db.transaction() as tx:
            _, place = pruning.sweep_events(tx, until, self._place, _EVENTS)
        self._place = place or self._place
        return place is not None
