"""Why runs are being tried again: they have failed attempts, and have not failed. Pure.

A run that will fail for such a cause will be in the error group with the same id.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from .error_groups import FailedStep, Failure, failure


@dataclass(frozen=True, slots=True)
class RetryingRun:
    """A run that is tried again, with the last attempt that failed.

    `step` is None if it was an attempt of the function's own code. `error` is JSON, or the
    beginning of it; None if nothing is known. `next_at` is when the next attempt is due.
    """

    id: str
    function_id: str
    function_slug: str
    app_name: str
    step: str | None
    error: str | None
    next_at: datetime


@dataclass(frozen=True, slots=True)
class RetryingCause:
    """Runs of a function that are tried again for one cause; `error_id` is that of its group.

    The group is there only if a run has failed for the cause already. `next_at` is when the first
    of the next attempts is due. `latest` is the newest of the runs.
    """

    error_id: str
    failure: Failure
    latest: RetryingRun
    runs: int
    next_at: datetime


def causes_of(runs: Iterable[RetryingRun]) -> list[RetryingCause]:
    """Group runs by cause, that of most runs first."""
    found: dict[str, list[tuple[RetryingRun, Failure]]] = {}
    for run in runs:
        steps = [] if run.step is None else [FailedStep(run.step, run.error, is_last=True)]
        failed = failure(run.error, steps)
        found.setdefault(failed.group_id(run.function_id), []).append((run, failed))
    causes = []
    for error_id, members in found.items():
        latest, failed = max(members, key=lambda member: member[0].id)
        next_at = min(run.next_at for run, _ in members)
        causes.append(RetryingCause(error_id, failed, latest, len(members), next_at))
    return sorted(causes, key=lambda cause: (-cause.runs, cause.error_id))
