"""A plan: what an answer means for its run, as data. `decide` makes it, the engine writes it."""

from dataclasses import dataclass, field
from datetime import timedelta

from ..functions.retries import Backoff
from ..runs.items import ItemKind
from ..runs.metadata import Target, Update
from ..runs.runs import RunStatus
from ..steps import waits
from ..steps.defers import Defer
from ..steps.task_groups import GroupCounts
from ..steps.timing import Span
from ..values import canonical


@dataclass(frozen=True, slots=True)
class Policy:
    """How a function is retried.

    `linear`, when set, replaces the backoff table. The function's `own` rule replaces both.
    """

    retries: int
    linear: timedelta | None = None
    own: Backoff | None = None

    @property
    def max_attempts(self) -> int:
        """Retries plus the first attempt."""
        return self.retries + 1


@dataclass(frozen=True, slots=True)
class StepResult:
    """A result to store; `value` is the memo entry's JSON text (execution.md §2)."""

    hash: str
    name: str
    op: str
    value: str
    races: bool = False
    failed: bool = False

    @property
    def size(self) -> int:
        """The value's bytes, which count against the run's state."""
        return canonical.size(self.value)


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A follow-up item: a request or a timer to queue; `step` is None for a discovery.

    An item of kind WAIT has a `wait`, which is opened in the same transaction.
    """

    kind: ItemKind
    key: str
    delay: timedelta = timedelta(0)
    step: str | None = None
    step_name: str | None = None
    opts: str | None = None
    wait: waits.Wait | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The run's end; `error_text` is what its events say where the output has no error text."""

    status: RunStatus
    output: str | None
    error_text: str | None = None


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """An entry of the run's timeline: an attempt, the start or end of a wait, or the run's end.

    `took` is when the step's body ran, as the SDK measured it; `info` is JSON of the step's kind.
    """

    step: str | None
    name: str
    op: str
    status: str
    error: str | None = None
    took: Span | None = None
    info: str | None = None


@dataclass(slots=True)
class Plan:
    """What to write. With `retry` the item is queued again after that time, else it is done."""

    results: list[StepResult] = field(default_factory=list)
    follow_ups: list[FollowUp] = field(default_factory=list)
    retry: timedelta | None = None
    finish: Finish | None = None
    request_version: int = -1
    # the answer's steps, with whether each races; None when it held a single op
    group: dict[str, bool] | None = None
    coalesce: bool = False  # the group waits for all its members before the next discovery
    timeline: list[TimelineEntry] = field(default_factory=list)
    defers: list[Defer] = field(default_factory=list)
    notes: list[tuple[Target, Update]] = field(default_factory=list)  # metadata of the steps
    closes: bool = False  # a time-out: the plan is valid only while the item's wait is open
    # set for canvases of Celery tasks, whose next steps are planned here and not by an SDK
    tasks: GroupCounts | None = None
    revokes: bool = False  # the attempt's task, which may still run, is not waited for any longer
    halts: bool = False  # a task has failed for good: of its canvas only the errbacks go on
