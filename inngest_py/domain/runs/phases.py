"""Phases: what a run that has not ended does, or what it waits for.

A run that has begun has items in its queue, one for each parallel branch. The first phase of
PHASES that one of them is in is the run's. storage/queries/run_columns.py asks the rows.
"""

from collections.abc import Sequence
from enum import StrEnum

from ..errors import Invalid
from .runs import ENDED, LIVE, RunStatus


class Phase(StrEnum):
    """What a live run does. A run that has not begun is queued."""

    EXECUTING = "executing"  # a worker, an app or a Celery worker has one of its items
    RETRYING = "retrying"  # an attempt failed, and the next one is to come
    QUEUED = "queued"  # it is to be called: as soon as a worker, a slot or its time has come
    WAITING = "waiting"  # for an event, a signal or an invoked run
    SLEEPING = "sleeping"


PHASES = tuple(Phase)
# The words that choose runs: one that has not ended is told by its phase.
WORDS = (
    *(phase.value for phase in Phase),
    *(status.value for status in RunStatus if status in ENDED),
)


def chosen(words: Sequence[str]) -> tuple[list[RunStatus] | None, list[Phase] | None]:
    """Read words that choose runs: statuses, and phases of runs that have not ended.

    None chooses all. Raises Invalid for another word.
    """
    phases = [Phase(word) for word in words if word in list(Phase)]
    try:
        statuses = [RunStatus(word) for word in words if word not in phases]
    except ValueError:
        raise Invalid(f"status must be one of {', '.join(WORDS)}", field="status") from None
    if not phases:
        return statuses or None, None
    if RunStatus.RUNNING in statuses:  # all that have begun
        return statuses + ([RunStatus.QUEUED] if Phase.QUEUED in phases else []), None
    return [*statuses, *LIVE], phases
