"""Groups of tasks that a canvas waits for: how many members of each have not ended yet.

A run stores the counts where runs of SDKs store their pending steps (groups.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """What a plan changes: groups that begin, with their members, and a group that loses one."""

    opens: Mapping[str, int]
    joins: str | None = None


def after(pending: Mapping[str, int], change: GroupCounts) -> tuple[dict[str, int], str | None]:
    """Count a change, under the run's lock; return the counts, and the group that has ended."""
    left = {**pending, **change.opens}
    group = change.joins
    if group is None:
        return left, None
    left[group] = left.get(group, 1) - 1
    if left[group] > 0:
        return left, None
    del left[group]
    return left, group
