"""How long items kept slots of our workers lately.

As `lately` does, this reads a range of ids of attempts, and of a long one the newest part.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from ....domain.runs import made_by
from ...db.columns import table_of
from ...runs.attempts import Attempt
from .. import figures

SPAN = timedelta(minutes=5)
MOST_READ = 5_000  # attempts: some 20 ms
_attempts = table_of(Attempt)


@dataclass(frozen=True, slots=True)
class KeptSlots:
    """`per_item` is the mean of what a call took, None without any; `busy` slots at a time."""

    per_item: timedelta | None
    busy: float


def kept(tx: Connection, now: datetime) -> KeptSlots:
    """Read what processes of ours did; a connected worker's or a Celery app's calls keep none."""
    end = figures.end_of_attempts(tx)
    since = now - SPAN
    first = max(figures.first_attempt_since(tx, since, end), end - MOST_READ)
    call = (_attempts.c.run_id, _attempts.c.started_at, _attempts.c.ended_at)
    query = select(*call).where(
        _attempts.c.id >= first,
        _attempts.c.id < end,
        _attempts.c.worker.is_not(None),
        ~_attempts.c.worker.startswith(made_by.CONNECTED, autoescape=True),
        _attempts.c.status != "waiting",  # its end has no meaning
    )
    rows = tx.execute(query.distinct()).all()  # one call may have given several attempts
    if not rows:
        return KeptSlots(None, 0.0)
    took = sum((max(row.ended_at - row.started_at, timedelta(0)) for row in rows), timedelta(0))
    if end - first == MOST_READ:  # the newest of many: over the time that they cover
        since = min(row.ended_at for row in rows)
    covered = max(now - since, timedelta(seconds=1))
    return KeptSlots(took / len(rows), took / covered)
