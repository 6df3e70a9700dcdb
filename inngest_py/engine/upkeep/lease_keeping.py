"""Leases: extend those that this process works under; free those of workers that are gone."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from ... import observe
from ...domain.limits import MAX_LAPSES
from ...domain.runs.items import RUNLESS
from ...storage.db.probing import probe
from ...storage.db.row_types import Record
from ...storage.queue import leases
from ..flow import concurrency
from ..runtime.context import Context

_BATCH = 500
_RARELY = timedelta(hours=1)


def extend(ctx: Context) -> bool:
    """Extend the leases of the items that this process works on, by the database's clock."""
    ctx.db.compare_clocks()
    held = ctx.leases.all()
    if held:
        with ctx.db.transaction() as tx:
            leases.extend(tx, held, ctx.now() + ctx.tuning.lease)
    return False


class Lapsed:
    """The service that frees the items of silent workers, but not after it was silent itself.

    A process may be unable to look for a while: it was stopped, or the database was away or refused
    writes. Then other workers may have been silent for the same reason, and so was this one. So it
    extends its own leases first, and gives the others time for a heartbeat before it looks again.
    """

    def __init__(self) -> None:
        self._looked_at: datetime | None = None
        self._looks_from: datetime | None = None  # until then others may extend their leases
        self._failed = False

    def run_once(self, ctx: Context) -> bool:
        """Make items ready whose worker has not extended their lease in time."""
        try:
            if self._failed:
                probe(ctx.db)  # a look that finds nothing writes nothing, so it proves nothing
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
            # only once: a process that is always late must free leases of dead workers, too
            self._looks_from = self._looks_from or now + patience
        self._looked_at = now
        if self._looks_from is not None and now < self._looks_from:
            return False
        self._looks_from = None
        return free_lapsed(ctx, now)


def _slow_down(tx: Connection, freed: Sequence[Record], now: datetime) -> None:
    """Delay items without a run that lose every worker: nothing else can end them."""
    lost = [row for row in freed if row.lapses >= MAX_LAPSES and row.kind in RUNLESS]
    for row in lost:
        fields = {"item_id": row.id, "kind": row.kind, "lapses": row.lapses}
        observe.event("item.loses_workers", level=40, **fields)
    leases.delay(tx, [row.id for row in lost], now + _RARELY)


def free_lapsed(ctx: Context, now: datetime) -> bool:
    """Make items ready whose lease has lapsed; say whether there may be more of them."""
    with ctx.db.transaction() as tx:
        freed = leases.free_lapsed(tx, now, _BATCH, ctx.tuning.lease)
        hints = concurrency.pass_on_slots(tx, ctx, freed, now)
        _slow_down(tx, freed, now)
    if hints:
        ctx.hints.send(hints)
    if freed:
        observe.event("lease.lapsed", level=30, items=len(freed))
    return len(freed) == _BATCH


def recover(ctx: Context) -> int:
    """Free the leases that the process before this one held; return how many there were.

    Only for a process that is the only one on its database.
    """
    with ctx.db.transaction() as tx:
        return leases.release_all(tx, ctx.now())
