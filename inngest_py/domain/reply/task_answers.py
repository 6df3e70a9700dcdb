"""Plans of runs whose steps are Celery tasks: what a task's answer means for its run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from .. import limits
from ..canvas.interpret import Call, Moves
from ..errors import TooLarge
from ..functions.celery_task import MOST_LOST, RETRY, CeleryTask
from ..runs.items import Item, ItemKind
from ..runs.runs import Run, RunStatus
from ..steps import tasks
from ..steps.task_groups import GroupCounts
from ..steps.tasks import OP
from ..values import canonical
from . import decide
from .plans import Finish, FollowUp, Plan, Policy, StepResult, TimelineEntry

LOST = "TaskLost"  # the name of the error of an attempt that was lost


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt of a task failed; `traceback` is the worker's, as text."""

    name: str
    message: str
    traceback: str | None = None

    def to_json(self) -> str:
        """Write the error as steps and runs store it."""
        found = {"name": self.name, "message": self.message}
        if self.traceback is not None:
            found["stack"] = self.traceback
        return canonical.dumps(found).decode()


def begun(run: Run, moves: Moves, now: datetime) -> Plan:
    """Plan a run's first tasks, or those that follow when a group has ended."""
    plan = Plan()
    _follow(plan, run, moves, now)
    return plan


def succeeded(run: Run, call: Call, value: object, moves: Moves, now: datetime) -> Plan:
    """Plan what follows from a task's result. Fails the run when the result is too large."""
    try:
        result = _result(call, value)
    except TooLarge as error:
        return decide.fatal("InngestErrOutputTooLarge", error.message)
    full = decide.too_much_state(run, result.size)
    if full is not None:
        return full
    plan = Plan(results=[result], timeline=[_entry(call, "completed")])
    _follow(plan, run, moves, now)
    return plan


def failed(item: Item, call: Call, failure: Failure, policy: Policy, jitter: float) -> Plan:
    """Send a failed task again, or fail its run when the function has no retry left."""
    error = failure.to_json()
    if item.attempt + 1 < policy.max_attempts:
        delay = decide.backoff(item, policy, None, jitter)
        return Plan(retry=delay, timeline=[_entry(call, "errored", error)])
    output = canonical.dumps({"error": canonical.loads(error)}).decode()
    text = f"{failure.name}: {failure.message}"
    return Plan(
        finish=Finish(RunStatus.FAILED, output, text),
        timeline=[
            _entry(call, "failed", error),
            TimelineEntry(None, "Finalization", "Finalization", "failed", output),
        ],
    )


def lost(item: Item, call: Call, why: str, before: int, task: CeleryTask, policy: Policy) -> Plan:
    """Send a lost task again, or fail its run.

    `why` says what was seen, `before` how often the task was lost before. Such an attempt does not
    count among the function's retries.
    """
    failure = Failure(LOST, why)
    error = failure.to_json()
    if task.on_lost == RETRY and before < MOST_LOST:
        return Plan(retry=timedelta(0), timeline=[_entry(call, "errored", error)])
    last = replace(policy, retries=0)
    return failed(replace(item, attempt=last.max_attempts), call, failure, last, 0.0)


def _follow(plan: Plan, run: Run, moves: Moves, now: datetime) -> None:
    for call in moves.calls:
        key = f"{run.id}-{tasks.step_of(call.path)}-task"
        plan.follow_ups.append(
            FollowUp(
                ItemKind.TASK,
                key,
                delay(call.options, now),
                step=tasks.step_of(call.path),
                step_name=call.label,
                opts=tasks.call_to_json(call),
            )
        )
    plan.tasks = GroupCounts(moves.opens, moves.joins)
    if moves.ended:
        output = canonical.dumps(moves.result).decode()
        plan.finish = Finish(RunStatus.COMPLETED, output)
        plan.timeline.append(TimelineEntry(None, "Finalization", "Finalization", "completed"))


def delay(options: Mapping[str, object], now: datetime) -> timedelta:
    """Say how long a task waits for its `countdown` or `eta`: in a row, not in a worker."""
    countdown, eta = options.get("countdown"), options.get("eta")
    if isinstance(countdown, int | float):
        return timedelta(seconds=max(0.0, min(countdown, limits.MAX_WAIT.total_seconds())))
    if isinstance(eta, str):
        at = datetime.fromisoformat(eta)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return max(timedelta(0), min(at - now, limits.MAX_WAIT))
    return timedelta(0)


def _entry(call: Call, status: str, error: str | None = None) -> TimelineEntry:
    return TimelineEntry(tasks.step_of(call.path), call.label, OP, status, error)


def _result(call: Call, value: object) -> StepResult:
    text = canonical.dumps({"data": value}).decode()
    if len(text.encode()) > limits.MAX_STEP_BYTES:
        raise TooLarge(f"The result of task {call.label!r} is over {limits.MAX_STEP_BYTES} bytes.")
    return StepResult(tasks.step_of(call.path), call.label, OP, text)
