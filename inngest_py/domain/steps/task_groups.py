"""Groups of tasks that a canvas waits for: how many members of each have not ended yet.

A run stores the counts where runs of SDKs store their pending steps (groups.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """What a plan changes: groups that begin, with their members, and a group that loses some.

    `of_errback` is set for tasks of errbacks, which go on after a task has failed for good.
    """

    opens: Mapping[str, int]
    joins: str | None = None
    members: int = 1
    of_errback: bool = False


def after(pending: Mapping[str, int], change: GroupCounts) -> tuple[dict[str, int], str | None]:
    """Count a change, under the run's lock; return the counts, and the group that has ended."""
    left = {**pending, **change.opens}
    group = change.joins
    if group is None:
        return left, None
    left[group] = left.get(group, change.members) - change.members
    if left[group] > 0:
        return left, None
    del left[group]
    return left, group


def failing(pending: Mapping[str, int]) -> bool:
    """Say whether the run only waits for errbacks: a task of it has failed for good."""
    return any(group.endswith("!") for group in pending)
