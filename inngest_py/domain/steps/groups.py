"""Groups: the parallel steps that a run still waits for (protocol: execution.md §6.2, §6.3).

A run stores its pending members, each with whether it races. The next discovery does not wait
for a racing member. But while one is pending, discoveries must not run steps themselves.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..values import canonical

# By step hash: whether it races. Runs of Celery tasks keep counts here: see task_groups.py.
Members = Mapping[str, int]


def read(stored: str | None) -> dict[str, bool]:
    """Read the pending members of a run."""
    if stored is None:
        return {}
    found = canonical.loads(stored)
    return found if isinstance(found, dict) else dict.fromkeys(found, False)


def written(pending: Members) -> str | None:
    """Write pending members: a list, or an object when one of them races; None for none."""
    if not pending:
        return None
    kept = dict(pending) if any(pending.values()) else list(pending)
    return canonical.dumps(kept).decode()


def renewed(pending: Mapping[str, bool], reported: Members) -> dict[str, bool]:
    """Return the members after a new group was reported while others are pending.

    Racing members stay, as their run does not wait for them: a discovery that comes with the end of
    the last of them must not run a step that was planned meanwhile.
    """
    racing = {step: races for step, races in pending.items() if races}
    return racing | {step: bool(races) for step, races in reported.items()}


@dataclass(frozen=True, slots=True)
class GroupState:
    """The run's group after new results; `discover` says whether a discovery is due now."""

    discover: bool
    force_plan: bool
    pending: Members


def after_results(
    pending: Members,
    done: Iterable[tuple[str, bool]],
    *,
    force_plan: bool,
    request_version: int,
) -> GroupState:
    """Decide, under the run's lock, whether results call for a discovery.

    `done` holds the step hashes stored just now, each with whether it races. From request version
    2 on, the force-plan flag is cleared by the first discovery that leaves no member pending.
    """
    hashes = dict(done)
    left = {step: races for step, races in pending.items() if step not in hashes}
    discover = bool(hashes) and (all(left.values()) or any(hashes.values()))
    if discover and request_version >= 2 and not left:
        force_plan = False
    return GroupState(discover, force_plan, left)
