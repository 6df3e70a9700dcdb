"""Plans of runs whose steps are Celery tasks: what a task's answer means for its run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from .. import limits
from ..canvas.expressions import ExpressionFailed
from ..canvas.interpret import Call, Moves
from ..errors import TooLarge
from ..functions.celery_task import MOST_LOST, RETRY, CeleryTask
from ..runs.items import Item, ItemKind
from ..runs.runs import Run, RunStatus
from ..steps import tasks
from ..steps.task_groups import GroupCounts
from ..steps.tasks import FAILED_OP, OP
from ..values import canonical
from . import decide
from .plans import Finish, FollowUp, Plan, Policy, StepResult, TimelineEntry

LOST = "TaskLost"  # the name of the error of an attempt that was lost
EXPIRED = "TaskExpired"  # of one that no worker had begun by its deadline
TOO_LARGE = "InngestErrOutputTooLarge"  # of one whose result is, as of an SDK's step
TIMED_OUT = "TaskTimeout"  # of one that has not ended within its time


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt of a task failed; `traceback` is the worker's, as text.

    With `is_loss` it did not fail: the task or its answer was lost.
    """

    name: str
    message: str
    traceback: str | None = None
    is_loss: bool = False

    def to_json(self) -> str:
        """Write the error as steps and runs store it."""
        found = {"name": self.name, "message": self.message}
        if self.traceback is not None:
            found["stack"] = self.traceback
        return canonical.dumps(found).decode()


def begun(run: Run, moves: Moves, now: datetime, *, of_errback: bool = False) -> Plan:
    """Plan a run's first tasks, or those that follow when a group has ended."""
    plan = Plan()
    _follow(plan, run, moves, now, of_errback=of_errback)
    return plan


def succeeded(run: Run, call: Call, value: object, moves: Moves, now: datetime) -> Plan:
    """Plan what follows from a task's result. Raises TooLarge for one that cannot be stored."""
    result = _result(call, value)
    full = decide.too_much_state(run, result.size)
    if full is not None:
        return full
    plan = Plan(results=[result], timeline=[_entry(call, "completed")])
    _follow(plan, run, moves, now, of_errback=tasks.is_of_errback(call.path))
    return plan


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt of a task that has failed. `errbacks` says what follows from its last failure."""

    run: Run
    item: Item
    call: Call
    failure: Failure
    errbacks: Callable[[], Moves]
    at: datetime


def failed(found: Failed, policy: Policy, jitter: float) -> Plan:
    """Send a failed task again; when the function has no retry left, call its errbacks.

    The run fails when they have ended, or at once without them.
    """
    if found.item.attempt + 1 < policy.max_attempts:
        return _again(found, decide.backoff(found.item, policy, None, jitter))
    call, error = found.call, found.failure.to_json()
    moves = found.errbacks()
    plan = Plan(timeline=[_entry(call, "failed", error)])
    output = canonical.dumps({"error": canonical.loads(error)}).decode()
    if moves.ended:
        _fail(plan, output)
        return plan
    if moves.joins is None:
        step = tasks.step_of(call.path)
        plan.results.append(StepResult(step, call.label, FAILED_OP, output, failed=True))
        plan.halts = True
    _follow(plan, found.run, moves, found.at, of_errback=tasks.is_of_errback(call.path))
    return plan


def unusable(found: Failed) -> Plan:
    """Fail a task whose result cannot be stored. A retry would have the same, and its effects."""
    return failed(found, Policy(0), 0.0)


def timed_out(found: Failed, policy: Policy, jitter: float) -> Plan:
    """Give up an attempt whose time is over: it is revoked, and failed() says what follows."""
    plan = failed(found, policy, jitter)
    plan.revokes = True
    return plan


def expired(found: Failed) -> Plan:
    """Fail the run of a task that no worker has begun by its deadline.

    A retry would be as late. No errbacks are called, as in Celery.
    """
    quiet = found if tasks.is_of_errback(found.call.path) else replace(found, errbacks=_nothing)
    return timed_out(quiet, Policy(0), 0.0)


def _nothing() -> Moves:
    return Moves(ended=True)


def errbacks_ended(memo: Mapping[str, str], path: str) -> Plan:
    """Fail a run with the stored error of the task whose errbacks have ended."""
    plan = Plan(tasks=GroupCounts({}, of_errback=True))
    _fail(plan, memo[tasks.step_of(path)])
    return plan


def _again(found: Failed, delay: timedelta) -> Plan:
    counts = GroupCounts({}, of_errback=tasks.is_of_errback(found.call.path))
    entry = _entry(found.call, "errored", found.failure.to_json())
    return Plan(retry=delay, timeline=[entry], tasks=counts)


def _fail(plan: Plan, output: str) -> None:
    error = canonical.loads(output)["error"]
    plan.finish = Finish(RunStatus.FAILED, output, f"{error['name']}: {error['message']}")
    plan.timeline.append(TimelineEntry(None, "Finalization", "Finalization", "failed", output))


def lost(found: Failed, before: int, task: CeleryTask, policy: Policy) -> Plan:
    """Send a lost task again, or fail its run.

    `before` says how often the task was lost before. Such an attempt does not count among the
    function's retries.
    """
    again = task.on_lost == RETRY and before < MOST_LOST
    if not again:
        return timed_out(found, replace(policy, retries=0), 0.0)
    plan = _again(found, timedelta(0))
    plan.revokes = True  # should the broker give it back after all
    return plan


def _fail_expression(plan: Plan, failed: ExpressionFailed) -> None:
    """Fail the run by an expression, as if the step's task had failed."""
    error = Failure("ExpressionFailed", failed.message).to_json()
    entry = TimelineEntry(tasks.step_of(failed.path), failed.label, OP, "failed", error)
    plan.timeline.append(entry)
    plan.tasks = GroupCounts({})
    _fail(plan, canonical.dumps({"error": canonical.loads(error)}).decode())


def _follow(plan: Plan, run: Run, moves: Moves, now: datetime, *, of_errback: bool = False) -> None:
    if moves.failure is not None:
        _fail_expression(plan, moves.failure)
        return
    for path, skipped in moves.skips.items():
        step, text = tasks.step_of(path), tasks.result_to_json(skipped)
        plan.results.append(StepResult(step, skipped.label, OP, text))
        plan.timeline.append(TimelineEntry(step, skipped.label, OP, "skipped"))
    for one in moves.calls:
        call = tasks.with_deadline(one, now)
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
    plan.tasks = GroupCounts(moves.opens, moves.joins, moves.members, of_errback)
    if moves.ended:
        output = canonical.dumps_exact(moves.result)
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
    text = tasks.result_to_json(value)
    if len(text.encode()) > limits.MAX_STEP_BYTES:
        problem = f"over {limits.MAX_STEP_BYTES} bytes: store it elsewhere, and return where"
        raise TooLarge(f"the result of task {call.label!r} is {problem}")
    return StepResult(tasks.step_of(call.path), call.label, OP, text)
