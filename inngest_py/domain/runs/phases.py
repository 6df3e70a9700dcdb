"""Phases: what a run that has not ended does, or what it waits for.

A run that has begun has items in its queue, one for each parallel branch. The first phase of
PHASES that one of them is in is the run's. storage/queries/run_columns.py asks the rows.
"""

from enum import StrEnum


class Phase(StrEnum):
    """What a live run does. A run that has not begun is queued."""

    EXECUTING = "executing"  # a worker, an app or a Celery worker has one of its items
    RETRYING = "retrying"  # an attempt failed, and the next one is to come
    QUEUED = "queued"  # it is to be called: as soon as a worker, a slot or its time has come
    WAITING = "waiting"  # for an event, a signal or an invoked run
    SLEEPING = "sleeping"


PHASES = tuple(Phase)
