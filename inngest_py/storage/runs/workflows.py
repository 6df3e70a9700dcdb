"""Workflows: each version that a function has had, so that a run keeps the one it started with."""

from datetime import datetime

from sqlalchemy import Connection, ForeignKey, Integer, bindparam, delete, func, select
from sqlalchemy.orm import Mapped, mapped_column

from ..catalog.functions import FunctionRow
from ..db.columns import Base, Json, table_of
from .runs import RunRow


class WorkflowRow(Base):
    """A workflow, `tasks`, as JSON; it holds from this version of its function on."""

    __tablename__ = "workflows"
    function_id: Mapped[str] = mapped_column(
        ForeignKey("functions.id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    tasks: Mapped[str] = mapped_column(Json)


_workflows = table_of(WorkflowRow)
_runs = table_of(RunRow)
_functions = table_of(FunctionRow)


def put(tx: Connection, function_id: str, version: int, tasks: str) -> None:
    """Write the workflow that a function has from a version on."""
    row = {"function_id": function_id, "version": version, "tasks": tasks}
    tx.execute(_workflows.insert(), row)


_latest = (
    select(_workflows.c.tasks)
    .where(_workflows.c.function_id == bindparam("function"))
    .order_by(_workflows.c.version.desc())
    .limit(1)
)


def latest(tx: Connection, function_id: str) -> str | None:
    """Read the workflow that a function has now; None for one that has none."""
    return tx.execute(_latest, {"function": function_id}).scalar()


_of_run = (
    select(_workflows.c.tasks)
    .join(_runs, _runs.c.function_id == _workflows.c.function_id)
    .where(_runs.c.id == bindparam("run"), _workflows.c.version <= _runs.c.function_version)
    .order_by(_workflows.c.version.desc())
    .limit(1)
)


def of_run(tx: Connection, run_id: str) -> str | None:
    """Read the workflow that a function had when a run of it was made."""
    return tx.execute(_of_run, {"run": run_id}).scalar()


def forget(tx: Connection, changed_before: datetime) -> int:
    """Delete the oldest workflow of functions that have later ones, and no run of it.

    Returns how many were deleted. One at a time for each function: the runs that need its oldest
    are the first of its runs, so a look is short. Functions that have changed since a time stay as
    they are: another process may not have read the change, and start a run with what was before.
    """
    later = _workflows.alias()
    after = (
        select(func.min(later.c.version))
        .where(
            later.c.function_id == _workflows.c.function_id, later.c.version > _workflows.c.version
        )
        .scalar_subquery()
    )
    older = _workflows.alias()
    is_oldest = ~(
        select(older.c.version)
        .where(
            older.c.function_id == _workflows.c.function_id, older.c.version < _workflows.c.version
        )
        .exists()
    )
    needed = (
        select(_runs.c.id)
        .where(_runs.c.function_id == _workflows.c.function_id, _runs.c.function_version < after)
        .exists()
    )
    unchanged = (
        select(_functions.c.id)
        .where(
            _functions.c.id == _workflows.c.function_id, _functions.c.updated_at < changed_before
        )
        .exists()
    )
    those = (after.is_not(None), is_oldest, unchanged, ~needed)
    return tx.execute(delete(_workflows).where(*those)).rowcount
