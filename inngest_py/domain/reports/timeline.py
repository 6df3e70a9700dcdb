"""What a run's timeline is built of, and what it is made into: the data of spans.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from ..runs.runs import RunStatus
from ..steps.task_executions import Execution
from ..values.json_types import JsonObject

# in a step's info: who gave its result by hand
GIVEN_BY = "givenBy"


class SpanStatus(StrEnum):
    """Where a span is in its life."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"


class StepOp(StrEnum):
    """What kind of step a span shows."""

    RUN = "RUN"
    SLEEP = "SLEEP"
    INVOKE = "INVOKE"
    WAIT_FOR_EVENT = "WAIT_FOR_EVENT"
    WAIT_FOR_SIGNAL = "WAIT_FOR_SIGNAL"
    AI_GATEWAY = "AI_GATEWAY"


@dataclass(frozen=True, slots=True)
class TimelineRun:
    """What a timeline needs to know of its run."""

    id: str
    status: RunStatus
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    has_output: bool


@dataclass(frozen=True, slots=True)
class SpanTask:
    """The Celery task of an attempt: `id` names it for workers and Flower.

    `host` is the worker that had it last. A time is None as long as nobody has told it. The
    attempt has one execution, and one more for each of Celery's own retries.
    """

    id: str
    sent_at: datetime | None
    queue: str | None = None
    host: str | None = None
    received_at: datetime | None = None
    started_at: datetime | None = None
    executions: Sequence[Execution] = ()


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """An attempt that is over; `step` is None for a request that found no step.

    `id` is that of its row, `info` says what its step waited for. The status `waiting` means that
    a wait has begun; another row says when it ended. `worker` is who made it; None if not known.
    `headers` are those of the answer that failed it.
    """

    id: int
    step: str | None
    name: str
    op: str
    attempt: int
    status: str
    queued_at: datetime
    started_at: datetime
    ended_at: datetime
    http_status: int | None = None
    has_error: bool = False
    info: JsonObject | None = None
    task: SpanTask | None = None
    worker: str | None = None
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """Something queued, running or waited for; `ended_at` is set if the run's end closed it."""

    step: str | None
    name: str
    op: str
    attempt: int
    status: SpanStatus
    queued_at: datetime
    due_at: datetime
    info: JsonObject | None = None
    ended_at: datetime | None = None
    task: SpanTask | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """Where a span's output is: the error of an attempt, a step's result, or else the run's."""

    run_id: str
    step: str | None = None
    attempt_id: int | None = None


@dataclass(slots=True, eq=False)
class Span:
    """A part of a run's timeline; `error` is one that is stored with nothing else."""

    id: str
    run_id: str
    name: str
    status: SpanStatus
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    step: str | None = None
    op: StepOp | None = None
    type: str | None = None
    attempts: int = 0
    output: Output | None = None
    info: JsonObject | None = None
    http_status: int | None = None
    error: JsonObject | None = None
    task: SpanTask | None = None
    worker: str | None = None
    headers: Mapping[str, str] | None = None  # of the answer that failed it
    is_root: bool = False
    parent: "Span | None" = None
    children: "list[Span]" = field(default_factory=list)

    @property
    def given_by(self) -> str | None:
        """Who gave its result by hand; None for a step that ran."""
        found = (self.info or {}).get(GIVEN_BY)
        return found if isinstance(found, str) else None

    @property
    def duration(self) -> timedelta | None:
        """How long it took; None until it has ended."""
        if self.ended_at is None:
            return None
        return max(self.ended_at - (self.started_at or self.queued_at), timedelta(0))

    def adopt(self, child: "Span") -> None:
        """Add a child."""
        child.parent = self
        self.children.append(child)
