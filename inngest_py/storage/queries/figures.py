"""Figures by minute, from rows that are stored anyway: runs and attempts, both by their ids.

Attempts have no index of times, but their ids grow with their ends, so a minute is found by
bisection over the primary key.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, bindparam, case, func, select

from ..db.columns import table_of
from ..db.row_types import Record
from ..events.events import EventRow
from ..runs.attempts import Attempt
from ..runs.runs import RunRow

_attempts, _runs, _events = table_of(Attempt), table_of(RunRow), table_of(EventRow)
_FAILED = ("errored", "failed")
_of_run = _attempts.alias("of_run")
_last_step = (
    select(_of_run.c.status)
    .where(
        _of_run.c.run_id == _attempts.c.run_id,
        _of_run.c.id < _attempts.c.id,
        _of_run.c.step.is_not(None),
    )
    .order_by(_of_run.c.id.desc())
    .limit(1)
    .scalar_subquery()
)
# The Python SDK says by this code that a function raised the error of its step. (The keys of stored
# errors are sorted, and this is the first.)
_RAISED_AGAIN = '{"code":"step_errored"'
# A function that fails because its step failed counts as one failure, not two. The subquery of the
# run's other attempts comes last, so that it is run for failed functions only.
fails = _attempts.c.status.in_(_FAILED) & (
    _attempts.c.step.is_not(None)
    | (
        ~func.coalesce(_attempts.c.error, "").startswith(_RAISED_AGAIN)
        & (func.coalesce(_last_step, "") != "failed")
    )
)
SAMPLE = 200  # calls of a minute from which its latencies are taken


def newest(tx: Connection) -> tuple[str, int, str]:
    """Return the newest ids of runs, attempts and events: a change means that there is news."""
    row = tx.execute(
        select(
            select(func.max(_runs.c.id)).scalar_subquery(),
            select(func.max(_attempts.c.id)).scalar_subquery(),
            select(func.max(_events.c.id)).scalar_subquery(),
        )
    ).one()
    return row[0] or "", row[1] or 0, row[2] or ""


def end_of_attempts(tx: Connection) -> int:
    """Return the newest attempt's id plus one."""
    return (tx.execute(select(func.max(_attempts.c.id))).scalar() or 0) + 1


def last_attempt(tx: Connection, before: int) -> datetime | None:
    """Say when the newest attempt before an id ended; None when there is none."""
    row = tx.execute(_before, {"id": before}).one_or_none()
    return None if row is None else row.ended_at


def last_run(tx: Connection, before: str) -> str | None:
    """Return the newest run's id before an id; None when there is none."""
    found: str | None = tx.execute(select(func.max(_runs.c.id)).where(_runs.c.id < before)).scalar()
    return found


_before = select(_attempts.c.id, _attempts.c.ended_at).where(_attempts.c.id < bindparam("id"))
_before = _before.order_by(_attempts.c.id.desc()).limit(1)


def first_attempt_since(tx: Connection, since: datetime, end: int) -> int:
    """Find the id of the first attempt that ended at `since` or later; `end` when there is none."""

    def older(before: int) -> bool:
        """Say whether the newest attempt before an id is too old, or missing."""
        row = tx.execute(_before, {"id": before}).one_or_none()
        return row is None or row.ended_at < since

    # from the end in growing strides: a minute has few attempts, however many came before it
    high, stride = end, 1
    while not older(high - stride + 1):
        high, stride = high - stride, stride * 4
    low = high - stride
    while high - low > 1:
        middle = (low + high) // 2
        if older(middle + 1):
            low = middle
        else:
            high = middle
    return high


def attempts_between(tx: Connection, first: int, end: int) -> RowMapping:
    """Count attempts between ids: all, failures (see fails), and runs completed and failed."""
    own = _attempts.c.step.is_(None)
    counts = {
        "calls": func.count(),
        "errors": func.count(case((fails, 1))),
        "completed": func.count(case((own & (_attempts.c.status == "completed"), 1))),
        "failed": func.count(case((own & (_attempts.c.status == "failed"), 1))),
    }
    query = select(*[count.label(name) for name, count in counts.items()])
    between = (_attempts.c.id >= first, _attempts.c.id < end)
    return tx.execute(query.where(*between)).mappings().one()


def calls_between(tx: Connection, first: int, end: int) -> Sequence[Record]:
    """List when the newest attempts between ids were queued, started and ended."""
    query = (
        select(_attempts.c.queued_at, _attempts.c.started_at, _attempts.c.ended_at)
        .where(
            _attempts.c.id >= first,
            _attempts.c.id < end,
            # sleeps and waits take as long as their functions want
            _attempts.c.op.not_in(("Sleep", "WaitForEvent", "WaitForSignal", "InvokeFunction")),
        )
        .order_by(_attempts.c.id.desc())
        .limit(SAMPLE)
    )
    return tx.execute(query).all()


def runs_between(tx: Connection, first: str, end: str) -> int:
    """Count runs between ids."""
    query = select(func.count()).where(_runs.c.id >= first, _runs.c.id < end)
    return tx.execute(query).scalar_one()
