"""The errors that a list of runs shows in its rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping

from ....domain.runs.outputs import name_and_message, one_line
from ....domain.runs.phases import Phase
from ....domain.runs.runs import RunStatus
from . import of_runs
from .of_runs import RunError


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """Why a run failed, or why its last attempt did; `error_id` is the group, None without one."""

    name: str
    message: str
    text: str  # both, in one line
    error_id: str | None


def lines(tx: Connection, rows: Sequence[RowMapping]) -> dict[str, ErrorLine]:
    """Read the errors of those rows that have failed or are tried again, by the ids of the runs.

    Needs the columns `id`, `status` and `phase`.
    """
    failed = [row["id"] for row in rows if row["status"] == RunStatus.FAILED.value]
    retried = [row["id"] for row in rows if row["phase"] == Phase.RETRYING.value]
    found = of_runs.of_failed(tx, failed) | of_runs.of_retried(tx, retried)
    return {run_id: _line(error) for run_id, error in found.items()}


def _line(error: RunError) -> ErrorLine:
    name, message = name_and_message(error.head)
    return ErrorLine(name, message, one_line(error.head), error.error_id)
