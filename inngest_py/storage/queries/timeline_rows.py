"""Read the rows from which a run's timeline is built."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, select

from ...domain.values import canonical
from ..db.columns import table_of
from ..queue import queue_items
from ..runs import attempts
from ..runs.steps import Step

_steps = table_of(Step)


@dataclass(frozen=True, slots=True)
class TimelineRows:
    """A run's attempts in the order in which they ended, and what is queued for it."""

    attempts: Sequence[RowMapping]
    queued: Sequence[RowMapping]


def of_run(tx: Connection, run_id: str) -> TimelineRows:
    """Read the rows from which a run's timeline is built."""
    return TimelineRows(attempts.of_run(tx, run_id), queue_items.of_run(tx, run_id))


def step_output(tx: Connection, run_id: str, step: str) -> str | None:
    """Read a step's stored result; None when there is none."""
    query = select(_steps.c.output).where(_steps.c.run_id == run_id, _steps.c.hash == step)
    output: str | None = tx.execute(query).scalar()
    return output


def step_input(tx: Connection, run_id: str, step: str) -> str | None:
    """Read a step's input, as JSON text; None when its SDK did not report it."""
    table = table_of(attempts.Attempt)
    query = (
        select(table.c.info)
        .where(table.c.run_id == run_id, table.c.step == step, table.c.info.is_not(None))
        .order_by(table.c.id.desc())
        .limit(1)
    )
    info = tx.execute(query).scalar()
    given = canonical.loads(info).get("input") if info is not None else None
    return None if given is None else canonical.dumps(given).decode()


def attempt_error(tx: Connection, run_id: str, attempt_id: int) -> str | None:
    """Read the error of one of the run's attempts; None when there is none."""
    table = table_of(attempts.Attempt)
    query = select(table.c.error).where(table.c.run_id == run_id, table.c.id == attempt_id)
    error: str | None = tx.execute(query).scalar()
    return error
