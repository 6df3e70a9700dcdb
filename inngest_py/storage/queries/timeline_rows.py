"""The rows that belong to a run: those that make its timeline, its steps and its metadata."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, select

from ...domain.steps import tasks
from ...domain.steps.task_executions import Execution
from ...domain.values import canonical
from ..db.columns import table_of
from ..db.row_types import Record
from ..queue import task_executions
from ..queue.queue_items import QueueItem
from ..queue.task_executions import TaskExecution
from ..runs.attempts import Attempt
from ..runs.metadata import RunMetadata
from ..runs.steps import Step

_attempts, _items = table_of(Attempt), table_of(QueueItem)
_executions = table_of(TaskExecution)
_metadata, _steps = table_of(RunMetadata), table_of(Step)


@dataclass(frozen=True, slots=True)
class TimelineRows:
    """A run's attempts in the order in which they ended, and what is queued for it.

    `executions` are those of Celery tasks, in order, by the tasks' ids; `has_tasks` says whether
    the run has such tasks.
    """

    attempts: Sequence[RowMapping]
    queued: Sequence[RowMapping]
    executions: Mapping[str, Sequence[Execution]]
    has_tasks: bool = False


def of_run(tx: Connection, run_id: str) -> TimelineRows:
    """Read the rows from which a run's timeline is built."""
    tried, queued = attempts_of(tx, run_id), queued_for(tx, run_id)
    has_tasks = any(row["op"] == tasks.OP for row in tried) or any(row["task"] for row in queued)
    found = executions_of(tx, run_id) if has_tasks else {}
    return TimelineRows(tried, queued, found, has_tasks)


def executions_of(tx: Connection, run_id: str) -> dict[str, list[Execution]]:
    """List how workers executed a run's Celery tasks, in order, by the tasks' ids."""
    query = select(_executions).where(_executions.c.run_id == run_id)
    return _by_task(tx.execute(query.order_by(_executions.c.number)))


def executions_of_tasks(
    tx: Connection, task_ids: Mapping[str, Sequence[str]]
) -> dict[str, list[Execution]]:
    """List how workers executed Celery tasks, given by their runs, in order, by the tasks' ids."""
    pairs = [(run_id, name) for run_id, names in task_ids.items() for name in names]
    return _by_task(task_executions.of_tasks(tx, pairs))


def _by_task(rows: Iterable[Record]) -> dict[str, list[Execution]]:
    found: dict[str, list[Execution]] = {}
    for row in rows:
        found.setdefault(row.task_id, []).append(_execution(row))
    return found


def _execution(row: Record) -> Execution:
    error = None if row.error is None else canonical.loads(row.error)
    times = row.received_at, row.started_at, row.retried_at
    return Execution(row.run_id, row.task_id, row.number, row.host, *times, error)


def attempts_of(tx: Connection, run_id: str) -> list[RowMapping]:
    """List a run's attempts in the order in which they ended."""
    query = select(_attempts).where(_attempts.c.run_id == run_id).order_by(_attempts.c.id)
    return list(tx.execute(query).mappings())


def queued_for(tx: Connection, run_id: str) -> list[RowMapping]:
    """List the items queued for a run, by due time."""
    query = select(_items).where(_items.c.run_id == run_id).order_by(_items.c.due_at)
    return list(tx.execute(query).mappings())


def steps_of(tx: Connection, run_id: str) -> list[RowMapping]:
    """List a run's steps with their results, in the order of the stack."""
    query = select(_steps).where(_steps.c.run_id == run_id).order_by(_steps.c.position)
    return list(tx.execute(query).mappings())


def metadata_of(tx: Connection, run_id: str) -> list[RowMapping]:
    """List all of a run's metadata."""
    query = select(_metadata).where(_metadata.c.run_id == run_id)
    return list(tx.execute(query.order_by(_metadata.c.target, _metadata.c.kind)).mappings())


def step_output(tx: Connection, run_id: str, step: str) -> str | None:
    """Read a step's stored result; None when there is none."""
    query = select(_steps.c.output).where(_steps.c.run_id == run_id, _steps.c.hash == step)
    output: str | None = tx.execute(query).scalar()
    return output


def step_input(tx: Connection, run_id: str, step: str) -> str | None:
    """Read a step's input, as JSON text; None when its SDK did not report it."""
    query = (
        select(_attempts.c.info)
        .where(
            _attempts.c.run_id == run_id,
            _attempts.c.step == step,
            _attempts.c.info.contains('"input":'),
        )
        .order_by(_attempts.c.id.desc())
        .limit(1)
    )
    info = tx.execute(query).scalar()
    given = canonical.loads(info).get("input") if info is not None else None
    return None if given is None else canonical.dumps(given).decode()


def attempt_error(tx: Connection, run_id: str, attempt_id: int) -> str | None:
    """Read the error of one of the run's attempts; None when there is none."""
    query = select(_attempts.c.error).where(
        _attempts.c.run_id == run_id, _attempts.c.id == attempt_id
    )
    error: str | None = tx.execute(query).scalar()
    return error
