"""Rounds: the requests that follow an answer without progress, and when to give up."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from ...domain.errors import Stalled
from ...domain.limits import USE_API_ABOVE_BYTES
from ...domain.reply.plans import FollowUp
from ...domain.runs import rounds
from ...domain.runs.items import CALLS, ItemKind
from ...storage.operations import stranded
from .writes import PlanWrite


def follow_ups(tx: Connection, write: PlanWrite, given: Sequence[FollowUp]) -> list[FollowUp]:
    """Return a write's follow-ups; a discovery if nothing else continues the run.

    Requests that follow without progress have the number of their round. Raises Stalled when
    there were too many rounds and nothing else continues the run; the transaction must roll back.
    Call it under the lock of the run's row, after the results are stored.
    """
    if write.done.stored or write.plan.retry is not None or write.item.kind not in CALLS:
        return list(given)
    if write.plan.tasks is not None:  # planned here: an answer without progress cannot occur
        return list(given)
    if write.done.step_count > write.run.step_count:  # a checkpoint or a parallel step
        return list(given) or _discovery(tx, write)
    if any(one.kind is not ItemKind.EDGE for one in given):  # something new will end
        return list(given)
    return [made for one in given or _discovery(tx, write) for made in _counted(tx, write, one)]


def _discovery(tx: Connection, write: PlanWrite) -> list[FollowUp]:
    """Return a discovery if nothing else continues the run; none if the answer had results."""
    if write.plan.results or stranded.has_other_driving_item(tx, write.run.id, write.item.id):
        return []
    return [FollowUp(ItemKind.EDGE, f"{write.item.id}-on")]


def _counted(tx: Connection, write: PlanWrite, follow_up: FollowUp) -> list[FollowUp]:
    """Give a request the number of its round.

    After the last round a discovery is left out. Raises Stalled if nothing else continues the run.
    """
    count = rounds.after(write.item, follow_up.step)
    if count > rounds.MOST:
        if not stranded.has_other_driving_item(tx, write.run.id, write.item.id):
            by_api = write.run.state_bytes + len(write.run.event) > USE_API_ABOVE_BYTES
            raise Stalled(rounds.stalled(write.item, by_api=by_api))
        if follow_up.step is None:
            return []
    if not count:
        return [follow_up]
    delay = max(follow_up.delay, rounds.delay(count))
    return [replace(follow_up, delay=delay, opts=rounds.written(count))]
