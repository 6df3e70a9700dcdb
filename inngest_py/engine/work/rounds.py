"""Rounds without progress: what follows from an answer that leaves a run nothing to do."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from ...domain.errors import Stalled
from ...domain.limits import USE_API_ABOVE_BYTES
from ...domain.reply.decide import Job
from ...domain.runs import rounds
from ...domain.runs.items import CALLS, ItemKind
from ...storage.operations import stranded
from .writes import Write


def follow_ups(tx: Connection, write: Write, jobs: Sequence[Job]) -> list[Job]:
    """Give the jobs that follow from a write, and a discovery where nothing would bring it on.

    Requests that follow without progress carry the number of their round. Raises Stalled when
    there have been too many and nothing else brings the run on; the transaction must roll back.
    Call it under the lock of the run's row, when the results are stored.
    """
    if write.done.stored or write.plan.retry is not None or write.item.kind not in CALLS:
        return list(jobs)
    if write.done.step_count > write.run.step_count:  # a checkpoint, or a sibling
        return list(jobs) or _discovery(tx, write)
    if any(job.kind is not ItemKind.EDGE for job in jobs):  # something new will end
        return list(jobs)
    return [made for job in jobs or _discovery(tx, write) for made in _counted(tx, write, job)]


def _discovery(tx: Connection, write: Write) -> list[Job]:
    """Ask again where a run has nothing queued, and was not waiting for what its results end."""
    if write.plan.results or stranded.driven(tx, write.run.id, write.item.id):
        return []
    return [Job(ItemKind.EDGE, f"{write.item.id}-on")]


def _counted(tx: Connection, write: Write, job: Job) -> list[Job]:
    """Give a request the number of its round; none where others bring the run on as well."""
    count = rounds.after(write.item, job.step)
    if count > rounds.MOST:
        if not stranded.driven(tx, write.run.id, write.item.id):
            by_api = write.run.state_bytes + len(write.run.event) > USE_API_ABOVE_BYTES
            raise Stalled(rounds.stalled(write.item, by_api=by_api))
        if job.step is None:
            return []
    if not count:
        return [job]
    delay = max(job.delay, rounds.pause(count))
    return [replace(job, delay=delay, opts=rounds.written(count))]
