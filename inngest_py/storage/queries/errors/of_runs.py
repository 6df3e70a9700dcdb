"""The errors of runs in a list, by the ids of the runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from ...db.columns import table_of
from ...operations.error_groups import ErrorGroup
from ...runs.attempts import Attempt
from ...runs.failed_runs import FailedRun
from ...runs.runs import RunRow

_MOST_CHARS = 4000  # of an error: its beginning has name and message
_runs, _attempts = table_of(RunRow), table_of(Attempt)
_failed, _groups = table_of(FailedRun), table_of(ErrorGroup)


@dataclass(frozen=True, slots=True)
class RunError:
    """The beginning of an error's JSON, and the group of the run that failed with it.

    `error_id` is None for a run that has not failed, and for one whose group is not known yet.
    """

    head: str
    error_id: str | None = None


def of_failed(tx: Connection, run_ids: Sequence[str]) -> dict[str, RunError]:
    """Read what failed runs failed with; leaves out runs without an output."""
    if not run_ids:
        return {}
    query = (
        select(_runs.c.id, func.substr(_runs.c.output, 1, _MOST_CHARS).label("head"), _groups.c.id)
        .outerjoin(_failed, _failed.c.run_id == _runs.c.id)
        .outerjoin(_groups, _groups.c.id == _failed.c.error_id)
        .where(_runs.c.id.in_(run_ids), _runs.c.output.is_not(None))
    )
    return {row[0]: RunError(row[1], row[2]) for row in tx.execute(query)}


def of_retried(tx: Connection, run_ids: Sequence[str]) -> dict[str, RunError]:
    """Read what the newest failed attempts of runs failed with; leaves out runs without one."""
    if not run_ids:
        return {}
    newest = select(func.max(_attempts.c.id)).where(
        _attempts.c.run_id.in_(run_ids), _attempts.c.error.is_not(None)
    )
    newest = newest.group_by(_attempts.c.run_id)
    query = select(_attempts.c.run_id, func.substr(_attempts.c.error, 1, _MOST_CHARS))
    query = query.where(_attempts.c.id.in_(newest))
    return {row[0]: RunError(row[1]) for row in tx.execute(query)}
