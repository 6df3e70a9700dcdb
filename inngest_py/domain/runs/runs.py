"""Runs: what workers know of them, their statuses and the moves between (execution.md §8)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ..flow.slots import Slots
from ..limits import NORMAL, RunLimits


class RunStatus(StrEnum):
    """Where a run is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


MOVES: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.QUEUED: frozenset(
        {RunStatus.RUNNING, RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED}
    ),
    RunStatus.RUNNING: frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED}),
    RunStatus.COMPLETED: frozenset(),
    RunStatus.FAILED: frozenset(),
    RunStatus.CANCELLED: frozenset(),
    RunStatus.SKIPPED: frozenset(),
}

ENDED = frozenset(status for status, moves in MOVES.items() if not moves)
LIVE = frozenset(MOVES) - ENDED


def sources(target: RunStatus) -> tuple[RunStatus, ...]:
    """List the statuses from which a run may move to `target`: the UPDATE's condition."""
    return tuple(status for status, moves in MOVES.items() if target in moves)


@dataclass(frozen=True, slots=True)
class Run:
    """A run, as the worker that has leased one of its items knows it.

    `request_version` is -1 until the first generator answer (execution.md §6.1);
    `force_plan` is the disable_immediate_execution flag (§6.2).
    """

    id: str
    function_id: str
    function_slug: str
    event_id: str
    status: RunStatus
    queued_at: datetime
    started_at: datetime | None
    request_version: int
    force_plan: bool
    step_count: int
    state_bytes: int
    correlation_id: str | None
    event_name: str
    event: str  # the event's canonical JSON, as the SDK gets it
    endpoint: str | None = None  # how a durable endpoint's event holds the body; None without one
    defers: str | None = None  # JSON: the state of its deferred functions, None without any
    input_step: str | None = None  # the hash of the step that a rerun gives new input
    input: str | None = None  # that input, as the JSON of a memo entry
    paused: bool = False  # whether its function was paused when the run was read
    singleton_key: str | None = None  # the singleton's key, which is free again at the run's end
    slots: Slots | None = None  # the slots that it uses; None without limits of concurrency
    traceparent: str | None = None  # the W3C context that its event came in; None without one
    events: tuple[str, ...] = ()  # those of its batch, in order; empty for a run of one event
    limits: RunLimits = NORMAL
