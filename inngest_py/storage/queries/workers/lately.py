"""What a worker did lately: the attempts of the last hour that it made.

Attempts have no index of workers or times: their ids grow with their ends, so the last hour is a
range of ids. Of a range that is too long for a page, the newest part is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, case, func, select

from ....domain.reports.quantiles import quantile
from ...catalog.functions import FunctionRow
from ...db.columns import table_of
from ...runs.attempts import Attempt
from ...runs.runs import RunRow
from .. import figures

HOUR = timedelta(hours=1)
MOST_READ = 50_000  # attempts of all workers: some 40 ms
MOST_SHOWN = 30
_SAMPLE = 500  # of its newest attempts, from which its percentile is taken
_attempts, _runs, _functions = table_of(Attempt), table_of(RunRow), table_of(FunctionRow)


@dataclass(frozen=True, slots=True)
class Lately:
    """The attempts of a worker since a time, and the newest of them.

    `p95` is how long they took, of the newest; None if there are none. `since` is an hour ago, or
    later on a busy server: then `is_cut`. A function that raises the error of its step has failed
    once.
    """

    count: int
    failures: int
    p95: timedelta | None
    since: datetime
    is_cut: bool
    newest: Sequence[RowMapping]


def of_worker(tx: Connection, worker: str, now: datetime) -> Lately:
    """Read what a worker did; `worker` is as attempts name it (domain/runs/made_by)."""
    since, end = now - HOUR, figures.end_of_attempts(tx)
    first = figures.first_attempt_since(tx, since, end)
    is_cut = end - first > MOST_READ
    if is_cut:
        first = end - MOST_READ
        since = figures.last_attempt(tx, first + 1) or since
    mine = (_attempts.c.id >= first, _attempts.c.id < end, _attempts.c.worker == worker)
    failures = func.count(case((figures.fails, 1)))
    count, failed = tx.execute(select(func.count(), failures).where(*mine)).one()
    times = select(_attempts.c.started_at, _attempts.c.ended_at).where(*mine)
    sample = tx.execute(times.order_by(_attempts.c.id.desc()).limit(_SAMPLE)).all()
    took = [max(row.ended_at - row.started_at, timedelta(0)) for row in sample]
    shown = (
        select(
            *(_attempts.c[name] for name in ("id", "run_id", "name", "step", "status", "attempt")),
            *(_attempts.c[name] for name in ("started_at", "ended_at", "http_status")),
            _functions.c.slug.label("function_slug"),
        )
        .join(_runs, _runs.c.id == _attempts.c.run_id)
        .join(_functions, _functions.c.id == _runs.c.function_id)
        .where(*mine)
        .order_by(_attempts.c.id.desc())
        .limit(MOST_SHOWN)
    )
    newest = tx.execute(shown).mappings().all() if count else []
    p95 = quantile(took, 0.95) if took else None
    return Lately(count, failed, p95, since, is_cut, newest)
