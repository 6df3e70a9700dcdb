"""Figures by minute, of what is stored anyway: runs by their ids, attempts by theirs.

Attempts have no index of times, but their ids grow with the time of their end, so a minute is
found by bisection over the primary key.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, case, func, select

from ..catalog.functions import Function
from ..db.columns import table_of
from ..events.events import Event
from ..runs.attempts import Attempt
from ..runs.runs import RunRow

_attempts, _runs, _events = table_of(Attempt), table_of(RunRow), table_of(Event)
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
# A function that is told of a step's failure fails with it: one failure, not two. The look at the
# run's other attempts comes last, so that it is made for failed functions alone.
_fails = _attempts.c.status.in_(_FAILED) & (
    _attempts.c.step.is_not(None) | (func.coalesce(_last_step, "") != "failed")
)
# how many of a minute's calls its latencies, and how many failures its errors are taken from
SAMPLE = 200
ERRORS = 50


def newest(tx: Connection) -> tuple[str, int, str]:
    """Tell the newest ids of runs, attempts and events: when one of them changes, news is there."""
    row = tx.execute(
        select(
            select(func.max(_runs.c.id)).scalar_subquery(),
            select(func.max(_attempts.c.id)).scalar_subquery(),
            select(func.max(_events.c.id)).scalar_subquery(),
        )
    ).one()
    return row[0] or "", row[1] or 0, row[2] or ""


def end_of_attempts(tx: Connection) -> int:
    """Give the id behind the newest attempt's."""
    return (tx.execute(select(func.max(_attempts.c.id))).scalar() or 0) + 1


def last_attempt(tx: Connection, before: int) -> datetime | None:
    """Tell when the newest attempt before an id ended; None when there is none."""
    row = tx.execute(_before, {"id": before}).one_or_none()
    return None if row is None else row.ended_at


def last_run(tx: Connection, before: str) -> str | None:
    """Give the newest run's id before an id; None when there is none."""
    found: str | None = tx.execute(select(func.max(_runs.c.id)).where(_runs.c.id < before)).scalar()
    return found


_before = select(_attempts.c.id, _attempts.c.ended_at).where(_attempts.c.id < bindparam("id"))
_before = _before.order_by(_attempts.c.id.desc()).limit(1)


def first_attempt_since(tx: Connection, since: datetime, end: int) -> int:
    """Find the id from which on attempts ended at an instant or later; `end` if none before it."""

    def older(before: int) -> bool:
        """Say whether the newest attempt before an id is too old, or missing."""
        row = tx.execute(_before, {"id": before}).one_or_none()
        return row is None or row.ended_at < since

    # from the near end in growing strides: most minutes are short, whatever lies before them
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
    """Count attempts by ids: all, failures (see _fails), and runs that ended well or not."""
    own = _attempts.c.step.is_(None)
    counts = {
        "calls": func.count(),
        "errors": func.count(case((_fails, 1))),
        "completed": func.count(case((own & (_attempts.c.status == "completed"), 1))),
        "failed": func.count(case((own & (_attempts.c.status == "failed"), 1))),
    }
    query = select(*[count.label(name) for name, count in counts.items()])
    between = (_attempts.c.id >= first, _attempts.c.id < end)
    return tx.execute(query.where(*between)).mappings().one()


def calls_between(tx: Connection, first: int, end: int) -> Sequence[Any]:
    """List the times of the newest attempts by ids: queued, started and ended."""
    query = (
        select(_attempts.c.queued_at, _attempts.c.started_at, _attempts.c.ended_at)
        .where(
            _attempts.c.id >= first,
            _attempts.c.id < end,
            # what waited did so for its own reasons
            _attempts.c.op.not_in(("Sleep", "WaitForEvent", "WaitForSignal", "InvokeFunction")),
        )
        .order_by(_attempts.c.id.desc())
        .limit(SAMPLE)
    )
    return tx.execute(query).all()


def errors_between(tx: Connection, first: int, end: int) -> Sequence[Any]:
    """List failures by ids: run, step's name, the head of the error, function and its id."""
    query = (
        select(
            _attempts.c.run_id,
            _attempts.c.name,
            func.substr(_attempts.c.error, 1, 2000),
            Function.slug,
            Function.id,
        )
        .join(_runs, _runs.c.id == _attempts.c.run_id)
        .join(Function, Function.id == _runs.c.function_id)
        .where(
            _attempts.c.id >= first,
            _attempts.c.id < end,
            _fails,
            _attempts.c.error.is_not(None),
        )
        .order_by(_attempts.c.id.desc())
        .limit(ERRORS)
    )
    return tx.execute(query).all()


def runs_between(tx: Connection, first: str, end: str) -> int:
    """Count runs by ids."""
    query = select(func.count()).where(_runs.c.id >= first, _runs.c.id < end)
    return tx.execute(query).scalar_one()
