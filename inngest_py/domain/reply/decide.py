"""Make the plan of an answer: all that it means for its run, without I/O, clock or randomness.

What depends on the run's parallel branches is decided later, under the run's lock: pending steps
by `steps.groups`, places in the stack by the writer. Protocol: execution.md §4, §6 and §7.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from ..errors import Invalid, TooLarge
from ..functions import retries
from ..limits import MAX_STEP_BYTES, MAX_WAIT
from ..runs import metadata
from ..runs.items import Item, ItemKind
from ..runs.runs import Run, RunStatus
from ..steps import app_times, defers, gateway, waits
from ..steps.opcodes import ENDING, LAZY, PLANNING, WAITING, Op, Opcode
from ..steps.wait_results import LookBack, StoredWait
from ..values import canonical, times
from ..values.json_types import JsonObject
from . import answer_headers, api_result, read
from .plans import Finish, FollowUp, Plan, Policy, StepResult, TimelineEntry

Headers = Mapping[str, str] | None
_ASK_AGAIN = timedelta(seconds=1)


def plan(
    run: Run,
    item: Item,
    policy: Policy,
    answer: read.Reply,
    now: datetime,
    jitter: float,
    ahead: timedelta = timedelta(0),
) -> Plan:
    """Decide what an answer to the item's request means; `jitter` lies in [0, 1).

    `ahead` is how far the server's virtual clock is ahead of the app's.
    """
    meaning = read.read(answer, now - ahead)
    if isinstance(meaning, read.Returned):
        return Plan(
            finish=Finish(RunStatus.COMPLETED, meaning.output),
            timeline=[TimelineEntry(None, "Finalization", "Finalization", "completed")],
        )
    if isinstance(meaning, read.Errored):
        return _fail(item, policy, meaning, jitter, answer.headers)
    if ahead:
        meaning = replace(meaning, ops=[app_times.moved(op, ahead) for op in meaning.ops])
    return plan_of_ops(run, item, policy, meaning, now, jitter, answer.headers)


def plan_of_ops(
    run: Run,
    item: Item,
    policy: Policy,
    meaning: read.Generated,
    now: datetime,
    jitter: float,
    headers: Headers = None,
) -> Plan:
    """Decide what ops mean for the run; see plan(). `headers` are those of the answer, if any."""
    planner = _Planner(run, item, policy, meaning, now, jitter)
    planner.headers = headers
    return planner.plan()


def overflow(run: Run) -> Plan | None:
    """Fail a run that is over its limits before its next request; None when it is within them."""
    if run.step_count >= run.limits.steps:
        return _too_many_steps(run)
    return too_much_state(run, 0)


def _too_many_steps(run: Run) -> Plan:
    text = f"The function run exceeded the step limit of {run.limits.steps} steps."
    return fatal("InngestErrFunctionOverflowed", text)


def too_much_state(run: Run, more_bytes: int) -> Plan | None:
    """Fail a run whose state would grow over its limit; None when it stays within it."""
    most = run.limits.state_bytes
    if run.state_bytes + more_bytes <= most:
        return None
    text = f"The function run exceeded the state size limit of {most} bytes."
    return fatal("InngestErrStateOverflowed", text)


def fatal(name: str, message: str) -> Plan:
    """Fail the run at once, even if it has attempts left (execution.md §7.5)."""
    return _fatal({"error": message, "message": message, "name": name})


def _fatal(error: dict[str, str]) -> Plan:
    output = canonical.dumps({"error": error}).decode()
    return Plan(
        finish=Finish(RunStatus.FAILED, output),
        timeline=[TimelineEntry(None, "Finalization", "Finalization", "failed", output)],
    )


def _bad_condition(op: Op, error: waits.BadExpression) -> Plan:
    """Fail a run whose wait has a bad condition: the next attempt would have the same one."""
    name, message = "InvalidExpression", error.message
    why = f"{op.label}: opts.if: {error.__cause__}"  # the message is the protocol's
    error_object = {"error": f"{name}: {message}", "message": message, "name": name, "stack": why}
    return _fatal(error_object)


def unwritable(item: Item, policy: Policy, jitter: float) -> Plan:
    """Make a function-level error of an answer that the database refuses (execution.md §7.3)."""
    return _fail(item, policy, read.server_error("The answer could not be stored."), jitter)


def crashed(item: Item, policy: Policy, name: str, jitter: float) -> Plan:
    """Make a function-level error of an exception in the server's own work on the item.

    `name` is the exception's class. Its message is not shown, because it may hold secrets.
    """
    text = f"The server failed while it worked on this attempt ({name}): its log has more."
    return _fail(item, policy, read.server_error(text, name=name), jitter)


def worker_lost(item: Item) -> Plan:
    """Fail a run whose request was lost with its worker too many times in a row."""
    text = (
        f"worker lost: {item.lapses} times in a row, the worker that ran this request ended"
        " or fell silent before the answer was stored"
    )
    return fatal("WorkerLost", text)


def _fail(
    item: Item, policy: Policy, meaning: read.Errored, jitter: float, headers: Headers = None
) -> Plan:
    """Retry a function-level error, or end the run with it (execution.md §7.3)."""
    name = item.step_name or item.step or "Finalization"
    last = meaning.no_retry or item.attempt + 1 >= policy.max_attempts
    shown = meaning.shown or meaning.output
    status, info = "failed" if last else "errored", answer_headers.with_headers(None, headers)
    entry = TimelineEntry(item.step, name, "Execution", status, shown, info=info)
    if last:
        finish = Finish(RunStatus.FAILED, meaning.output, meaning.text)
        return Plan(finish=finish, timeline=[entry])
    return Plan(retry=backoff(item, policy, meaning.retry_after, jitter), timeline=[entry])


def backoff(item: Item, policy: Policy, retry_after: timedelta | None, jitter: float) -> timedelta:
    """Say when a failed attempt is retried: as the app asked, or by the function's backoff."""
    if retry_after is not None:
        return retry_after
    return retries.backoff(item.attempt, jitter, policy.linear, policy.own)


def result_of(op: Op, *, failed: bool) -> tuple[StepResult, TimelineEntry]:
    """Make the stored result and the timeline's entry of a step's op (execution.md §2).

    With `failed`, the op's error is stored. Raises TooLarge for more than a step may hold.
    """
    data = {"error": op.error} if failed else {"data": op.data}
    text = canonical.dumps(op.data if op.code is Opcode.STEP else data).decode()
    if len(text.encode()) > MAX_STEP_BYTES:
        raise TooLarge(f"The output of step {op.label!r} is over {MAX_STEP_BYTES} bytes.")
    error = canonical.dumps(op.error).decode() if failed and op.error is not None else None
    status = "failed" if failed else "completed"
    return (
        StepResult(op.id, op.label, op.kind, text, races=op.races, failed=failed),
        TimelineEntry(op.id, op.label, op.kind, status, error, op.took, op.given),
    )


class _Planner:
    """Makes the plan of one 206 answer."""

    def __init__(
        self,
        run: Run,
        item: Item,
        policy: Policy,
        meaning: read.Generated,
        now: datetime,
        jitter: float,
    ) -> None:
        self.run, self.item, self.policy = run, item, policy
        self.meaning, self.now, self.jitter = meaning, now, jitter
        self.headers: Headers = None
        self.made = Plan()

    def plan(self) -> Plan:
        ops = self.meaning.ops
        real = [op for op in ops if op.code is not Opcode.NONE or op.id]
        if not real:  # the SDK has found nothing new: ask again, but only after a second
            self.made.follow_ups.append(FollowUp(ItemKind.EDGE, f"{self.run.id}-again", _ASK_AGAIN))
            return self.made
        if len(real) > self.run.limits.steps:
            return _too_many_steps(self.run)
        self.made.request_version = self.meaning.request_version
        self.made.defers = defers.read(real)
        self.made.notes = metadata.of_ops(real, self.item.attempt)
        counted = [op for op in real if op.code not in LAZY]
        if (len(counted) > 1 or self._joins(counted)) and not any(
            op.code in ENDING for op in counted
        ):
            self.made.group = {op.id: op.races for op in counted if op.is_step}
            self.made.coalesce = any(op.code in PLANNING for op in counted)
        # waits for events are opened first: a sibling may send the event (execution.md §6.4)
        for op in sorted(real, key=lambda op: op.code is not Opcode.WAIT_FOR_EVENT):
            ended = self._add(op)
            if ended is not None:
                ended.defers, ended.notes = self.made.defers, self.made.notes
                return ended
        return self.made

    def _joins(self, counted: list[Op]) -> bool:
        """Say whether a single op is pending, too: beside racing steps that have not ended."""
        version = max(self.run.request_version, self.meaning.request_version)
        found = self.run.force_plan and version >= 2 and self.item.step is None
        return found and any(op.code in PLANNING for op in counted)

    def _add(self, op: Op) -> Plan | None:
        """Add what one op asks for. A plan that is returned replaces the whole plan."""
        if op.code in (Opcode.STEP_RUN, Opcode.STEP):
            return self._result(op, failed=False)
        if op.code in (Opcode.STEP_ERROR, Opcode.STEP_FAILED):
            return self._step_error(op)
        if op.code is Opcode.STEP_PLANNED:
            self._queue(op, ItemKind.EDGE, "plan", timedelta(0))
        elif op.code is Opcode.SLEEP:
            return self._sleep(op)
        elif op.code in (Opcode.AI_GATEWAY, Opcode.GATEWAY):
            return self._gateway(op)
        elif op.code in WAITING:
            return self._wait(op)
        elif op.code is Opcode.SYNC_RUN_COMPLETE:
            status, output = api_result.finish(op.data)
            self.made.finish = Finish(status, output)
            self.made.timeline.append(
                TimelineEntry(None, "Finalization", "Finalization", status.value)
            )
        elif op.code is Opcode.RUN_COMPLETE:
            output = canonical.dumps(op.data).decode()
            self.made.finish = Finish(RunStatus.COMPLETED, output)
            self.made.timeline.append(
                TimelineEntry(None, "Finalization", "Finalization", "completed")
            )
        elif op.code is Opcode.DISCOVERY_REQUEST:
            self.made.follow_ups.append(FollowUp(ItemKind.EDGE, f"{self.item.id}-discovery"))
        return None

    def _result(self, op: Op, *, failed: bool) -> Plan | None:
        try:
            result, entry = result_of(op, failed=failed)
        except TooLarge as error:
            return fatal("InngestErrOutputTooLarge", error.message)
        full = too_much_state(self.run, result.size)
        if full is not None:
            return full
        self.made.results.append(result)
        self.made.timeline.append(self._with_headers(entry) if failed else entry)
        return None

    def _with_headers(self, entry: TimelineEntry) -> TimelineEntry:
        return replace(entry, info=answer_headers.with_headers(entry.info, self.headers))

    def _step_error(self, op: Op) -> Plan | None:
        """Retry a step, or store its error for user code to see (execution.md §7.2)."""
        error = dict(op.error or {"name": "Error", "message": "Step failed"})
        if op.is_function:
            self._function_error(op, error)
            return None
        final = (
            op.code is Opcode.STEP_FAILED
            or error.get("noRetry") is True
            or self.meaning.no_retry is True
            or self.item.attempt + 1 >= self.policy.max_attempts
        )
        if final:
            if op.data is not None and "data" not in error:
                error["data"] = op.data
            return self._result(replace(op, error=error), failed=True)
        text = canonical.dumps(error).decode()
        shown = TimelineEntry(op.id, op.label, op.kind, "errored", text, op.took, op.given)
        self.made.timeline.append(self._with_headers(shown))
        self.made.retry = backoff(self.item, self.policy, self.meaning.retry_after, self.jitter)
        return None

    def _function_error(self, op: Op, error: JsonObject) -> None:
        """Retry the request or fail the run for an error of the function itself."""
        forbidden = self.meaning.no_retry is True or error.get("noRetry") is True
        final = forbidden or op.code is Opcode.STEP_FAILED
        text = canonical.dumps(error).decode()
        errored = read.Errored(
            text, read.NO_RETRY if final else op.code.value, final, self.meaning.retry_after
        )
        failed = _fail(self.item, self.policy, errored, self.jitter, self.headers)
        self.made.finish, self.made.retry = failed.finish, failed.retry
        self.made.timeline += failed.timeline

    def _sleep(self, op: Op) -> Plan | None:
        given = op.opts.get("duration")
        text = given if isinstance(given, str) and given else op.name
        try:
            length = times.delay(text, self.now)
        except Invalid as error:
            return _fail(self.item, self.policy, read.server_error(error.message), self.jitter)
        if length > MAX_WAIT:
            return fatal("InngestErrTimeoutTooLong", "A sleep may last 366 days at most.")
        self._queue(op, ItemKind.SLEEP, "sleep", length)
        return None

    def _wait(self, op: Op) -> Plan | None:
        try:
            wait = waits.read(op, self.run, self.now)
        except waits.BadExpression as error:
            return _bad_condition(op, error)
        except Invalid as error:
            return _fail(self.item, self.policy, read.server_error(error.message), self.jitter)
        if wait.timeout > MAX_WAIT:
            return fatal("InngestErrTimeoutTooLong", "A wait may last 366 days at most.")
        key = f"{self.run.id}-{op.id}-pause"
        look, delay = None, wait.timeout
        if wait.look_back and wait.event_name is not None:
            until = (self.now + wait.timeout).isoformat()
            look = LookBack(wait.event_name, wait.expression, until, self.run.step_count)
            delay = timedelta(0)
        opts = StoredWait(wait.kind, wait.info, op.races, look).written()
        follow_up = FollowUp(ItemKind.WAIT, key, delay, op.id, op.label, opts, wait)
        self.made.follow_ups.append(follow_up)
        return None

    def _gateway(self, op: Op) -> Plan | None:
        """Queue a gateway call; a request that no client can send fails the step."""
        try:
            opts = gateway.request(op).text()
        except Invalid as error:
            error_op = replace(op, error=gateway.refused(op, error.message))
            return self._result(error_op, failed=True)
        self._queue(op, ItemKind.GATEWAY, "gateway", timedelta(0), opts)
        return None

    def _queue(
        self, op: Op, kind: ItemKind, suffix: str, delay: timedelta, opts: str | None = None
    ) -> None:
        if opts is None and op.races:
            opts = canonical.dumps({"race": True}).decode()
        self.made.follow_ups.append(
            FollowUp(kind, f"{self.run.id}-{op.id}-{suffix}", delay, op.id, op.label, opts)
        )
