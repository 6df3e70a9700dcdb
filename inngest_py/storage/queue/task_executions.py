"""Executions of Celery tasks by the app's workers: see domain/steps/task_executions.py."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, DateTime, Integer, Text, bindparam, select
from sqlalchemy.orm import Mapped, mapped_column

from ...domain.steps.task_executions import Execution
from ...domain.values import canonical
from ..db.columns import Base, Json, Timestamp, table_of
from ..db.row_types import Record
from ..db.statements import ManyRows, Upsert
from ..runs.runs import RunRow


class TaskExecution(Base):
    """An execution of an attempt of a task, as far as the worker's events told of it.

    `task_id` names the attempt for workers. Times are those of the worker's clock.
    """

    __tablename__ = "task_executions"
    run_id: Mapped[str] = mapped_column(Text, primary_key=True)
    task_id: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(Timestamp)
    started_at: Mapped[datetime | None] = mapped_column(Timestamp)
    retried_at: Mapped[datetime | None] = mapped_column(Timestamp)
    error: Mapped[str | None] = mapped_column(Json)


_executions, _runs = table_of(TaskExecution), table_of(RunRow)
_KEYS = ("run_id", "task_id", "number")
_CHANGING = ("host", "received_at", "started_at", "retried_at", "error")
_texts = dict.fromkeys(("run_id", "task_id"), Text())
_times = dict.fromkeys(("received_at", "started_at", "retried_at"), DateTime(timezone=True))
_put = Upsert(
    _executions,
    {**_texts, "number": Integer(), "host": Text(), **_times, "error": Text()},
    _KEYS,
    lambda excluded: {name: getattr(excluded, name) for name in _CHANGING},
)
_known = select(_runs.c.id).where(_runs.c.id.in_(bindparam("ids", expanding=True)))

# by pairs: of two lists, SQLite looks for each run with each task
_of_tasks = ManyRows(
    {"run": Text(), "task": Text()},
    lambda v: (
        select(_executions)
        .where(_executions.c.run_id == v.run, _executions.c.task_id == v.task)
        .order_by(_executions.c.number)
    ),
)


def of_tasks(tx: Connection, tasks: Sequence[tuple[str, str]]) -> Sequence[Record]:
    """Read the executions of tasks, given by their run and their id, in order."""
    return _of_tasks.run(tx, tasks).all() if tasks else []


def put(tx: Connection, found: Sequence[Execution]) -> None:
    """Store executions, or what is new of them; not of runs that are not here.

    Another installation may send tasks to the same broker, and a run may have been deleted. Apps
    that share a broker have a watcher each, and all of them hear of an execution: of two that tell
    the same one, the newer reception counts, then who knows more of it.
    """
    ids = sorted({one.run_id for one in found})
    known = set(tx.execute(_known, {"ids": ids}).scalars()) if ids else set()
    told = sorted((one for one in found if one.run_id in known), key=_how_new)
    rows = {row[:3]: row for row in map(_row, told)}  # PostgreSQL puts a row once in a statement
    if rows:
        _put.run(tx, [rows[key] for key in sorted(rows)]).all()


def _how_new(one: Execution) -> tuple[datetime, bool, bool]:
    return one.received, one.started is not None, one.retried is not None


def _row(one: Execution) -> tuple[object, ...]:
    error = None if one.error is None else canonical.dumps(one.error).decode()
    times = one.received, one.started, one.retried
    return (one.run_id, one.task_id, one.number, one.host, *times, error)
