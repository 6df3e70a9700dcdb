"""Spans: a run's timeline as a tree, built from stored rows (protocol: api.md §5.5).

Invariant: the root's children are its steps, in the order in which they were queued, and then the
function's own answer. A step's children are its attempts, unless its only attempt has completed.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ..reply.timeouts import CANCELLATION
from ..runs.runs import ENDED, RunStatus
from ..steps import tasks
from ..values import ids
from . import task_spans
from .timeline import EndedAttempt, Output, Pending, Span, SpanStatus, StepOp, TimelineRun

FINALIZATION = "Finalization"
FINAL = "FINALIZATION"  # the type of the span of that name
EXECUTION = "Execution"
UNKNOWN = "Unknown step"
DISCOVERY = "Discovery step"


_OPS = {
    "Sleep": StepOp.SLEEP,
    "InvokeFunction": StepOp.INVOKE,
    "WaitForEvent": StepOp.WAIT_FOR_EVENT,
    "WaitForSignal": StepOp.WAIT_FOR_SIGNAL,
    "AIGateway": StepOp.AI_GATEWAY,
    "step.ai.infer": StepOp.AI_GATEWAY,
}
_WAITS = {StepOp.SLEEP, StepOp.INVOKE, StepOp.WAIT_FOR_EVENT, StepOp.WAIT_FOR_SIGNAL}
# Plain opcodes. Any other text is a type that the SDK gave the step.
_PLAIN = {
    *_OPS,
    "Gateway",
    "Step",
    "StepRun",
    "StepError",
    "StepFailed",
    "StepPlanned",
    EXECUTION,
    "",
}
_PLAIN -= {"step.ai.infer"}
_ATTEMPT = dict.fromkeys(("errored", "failed"), SpanStatus.FAILED)
_ATTEMPT |= {"cancelled": SpanStatus.CANCELLED, "skipped": SpanStatus.SKIPPED}
_PLAIN_ENDS = (["completed"], ["skipped"])
_RUN = {status: SpanStatus(status.value.upper()) for status in RunStatus}
_OVER = {SpanStatus.COMPLETED, SpanStatus.FAILED, SpanStatus.CANCELLED, SpanStatus.SKIPPED}


@dataclass(slots=True)
class _Group:
    """The attempts of one step, or of one request that found no step."""

    step: str | None
    tried: list[EndedAttempt] = field(default_factory=list)
    pending: Pending | None = None

    @property
    def latest(self) -> EndedAttempt | Pending:
        return self.pending or self.tried[-1]

    @property
    def queued_at(self) -> datetime:
        return min([item.queued_at for item in self._all()])

    def _all(self) -> Iterable[EndedAttempt | Pending]:
        return (*self.tried, *([self.pending] if self.pending else ()))


def tree(run: TimelineRun, tried: Sequence[EndedAttempt], pending: Sequence[Pending]) -> Span:
    """Build a run's timeline; `tried` is in the order in which the attempts ended."""
    root = Span(
        id=span_id(run.id, "run"),
        run_id=run.id,
        name="Run",
        status=_RUN[run.status],
        queued_at=run.queued_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        output=Output(run.id) if run.has_output else None,
        is_root=True,
    )
    steps = _steps(run, tried, pending)
    requests = _requests(tried)
    _add_retries([*steps, *requests], tried, pending)
    final = requests[-1] if requests and _is_final(run, requests[-1]) else None
    others = [group for group in (*steps, *requests) if group is not final]
    # sorted() is stable: steps that were queued together keep the order in which they ended
    # a cancellation's reason comes last, though its timer may be older than the steps
    for group in sorted(others, key=lambda group: (_is_reason(group), group.queued_at)):
        root.adopt(_span(run, group, final=False))
    if final is not None:
        root.adopt(_span(run, final, final=True))
    root.attempts = max([child.attempts for child in root.children], default=0)
    return root


def _steps(
    run: TimelineRun, tried: Sequence[EndedAttempt], pending: Sequence[Pending]
) -> list[_Group]:
    groups: dict[str, _Group] = {}
    for row in tried:
        if row.step is None:
            continue
        group = groups.setdefault(row.step, _Group(row.step))
        if row.status == "waiting":
            group.pending = _wait(run, row)
            continue
        began, group.pending = group.pending, None
        known = row if began is None else replace(row, queued_at=began.queued_at)
        group.tried.append(known)
    for item in pending:
        if item.step is not None:
            groups.setdefault(item.step, _Group(item.step)).pending = item
    return list(groups.values())


def _wait(run: TimelineRun, row: EndedAttempt) -> Pending:
    """Show a wait as open, or as cancelled if its run has ended."""
    open_ = SpanStatus.RUNNING if row.op == "InvokeFunction" else SpanStatus.WAITING
    status = SpanStatus.CANCELLED if run.status in ENDED else open_
    times = row.queued_at, row.started_at
    return Pending(row.step, row.name, row.op, 0, status, *times, row.info, run.ended_at)


def _requests(tried: Sequence[EndedAttempt]) -> list[_Group]:
    """Group the attempts of requests without a step; a number that does not grow starts one."""
    groups: list[_Group] = []
    for row in tried:
        if row.step is not None:
            continue
        if not groups or row.attempt <= groups[-1].tried[-1].attempt:
            groups.append(_Group(None))
        groups[-1].tried.append(row)
    return groups


def _add_retries(
    groups: Sequence[_Group], tried: Sequence[EndedAttempt], pending: Sequence[Pending]
) -> None:
    """Add each pending retry of a discovery to the step or request whose attempt failed.

    When a discovery found a step and ran it at once, the step is retried by a discovery.
    """
    by_row = {row.id: group for group in groups for row in group.tried}
    for item in pending:
        if item.step is not None or not item.attempt:
            continue
        for row in reversed(tried):
            group = by_row.get(row.id)
            failed = row.status == "errored" and row.attempt == item.attempt - 1
            if failed and group is not None and group.pending is None:
                group.pending = replace(item, step=group.step)
                break


def _is_final(run: TimelineRun, group: _Group) -> bool:
    return (
        run.status in ENDED
        and not group.pending
        and group.tried[-1].status in ("completed", "failed")
    )


def _span(run: TimelineRun, group: _Group, *, final: bool) -> Span:
    """Make the span of a step or request, which shows what its latest attempt shows."""
    latest = group.latest
    first = group.step or f"request-{group.tried[0].id}"
    span = _attempt_span(run, group, latest, key=first, final=final)
    span.name = _name(group, final=final)
    span.queued_at = group.queued_at
    starts = [row.started_at for row in group.tried]
    span.started_at = min(starts) if starts else span.started_at
    if _is_reason(group):
        return span
    if group.step is None and not final and group.pending is None:
        # a retry of the request found a step, or the run ended in another way
        span.status = SpanStatus.COMPLETED if run.status is not RunStatus.FAILED else span.status
    hidden = group.pending is None and [row.status for row in group.tried] in _PLAIN_ENDS
    hidden = hidden and not task_spans.executions(span, "")  # Celery retried it
    if hidden or span.op in _WAITS:
        return span  # nothing was requested for a sleep or a wait
    for row in group.tried:
        span.adopt(_numbered_attempt(run, group, row, f"{first}-{row.id}", final=final))
    if group.pending is not None:
        key = f"{first}-next-{group.pending.attempt}"
        span.adopt(_numbered_attempt(run, group, group.pending, key, final=final))
    return span


def _is_reason(group: _Group) -> bool:
    return group.step is None and bool(group.tried) and group.tried[-1].op == CANCELLATION


def _numbered_attempt(
    run: TimelineRun, group: _Group, item: EndedAttempt | Pending, key: str, *, final: bool
) -> Span:
    span = _attempt_span(run, group, item, key=key, final=final)
    span.name = f"Attempt {item.attempt}"
    for child in task_spans.executions(span, span_id(run.id, f"{key}-celery")):
        span.adopt(child)
    return span


def _attempt_span(
    run: TimelineRun, group: _Group, item: EndedAttempt | Pending, *, key: str, final: bool
) -> Span:
    op, kind = _kind(group, final=final)
    span = Span(
        id=span_id(run.id, key),
        run_id=run.id,
        name=item.name,
        status=SpanStatus.QUEUED,
        queued_at=item.queued_at,
        started_at=None,
        ended_at=None,
        step=group.step,
        op=op,
        type=kind,
        attempts=item.attempt,
        info=item.info,
        task=item.task,
    )
    if isinstance(item, Pending):
        span.status = item.status
        if item.task is not None:
            span.started_at = item.task.started_at
        elif item.status is SpanStatus.RUNNING:
            span.started_at = max(item.queued_at, item.due_at)
        elif item.status is not SpanStatus.QUEUED:
            span.started_at, span.ended_at = item.queued_at, item.ended_at
        return span
    span.status = _ATTEMPT.get(item.status, SpanStatus.COMPLETED)
    span.started_at, span.ended_at = item.started_at, item.ended_at
    span.http_status, span.worker, span.headers = item.http_status, item.worker, item.headers
    span.output = _output(run, item, final=final)
    return span


def _output(run: TimelineRun, row: EndedAttempt, *, final: bool) -> Output | None:
    # a task that failed for good has no result: only its attempt has the error
    own = row.status == "errored" or row.op in (EXECUTION, CANCELLATION, tasks.OP)
    if row.has_error and own:
        return Output(run.id, row.step, row.id)
    if row.step is None:
        return Output(run.id) if final and run.has_output else None
    return None if row.op == "Sleep" or row.status == "cancelled" else Output(run.id, row.step)


def _name(group: _Group, *, final: bool) -> str:
    if final:
        return FINALIZATION
    if _is_reason(group):
        return CANCELLATION
    if group.step is None:
        return EXECUTION if group.pending is not None else DISCOVERY
    names = [row.name for row in reversed(group.tried) if row.op != EXECUTION]
    if group.pending is not None:
        names.append(group.pending.name)
    names += [row.name for row in group.tried]
    return next((name for name in names if name), UNKNOWN)


def _kind(group: _Group, *, final: bool) -> tuple[StepOp | None, str | None]:
    """Return the step's op, and its type: the one that the SDK gave, else the op's name."""
    if final:
        return None, FINAL
    if group.step is None:
        return None, None
    ops = [row.op for row in reversed(group.tried)]
    if group.pending is not None:
        ops.append(group.pending.op)
    named = next((op for op in ops if op not in _PLAIN or op in _OPS), "StepRun")
    op = _OPS.get(named, StepOp.RUN)
    return op, op.value if named in _PLAIN else named


def span_id(run_id: str, key: str) -> str:
    """Derive a span's id from its run and a key that is unique in the run."""
    return hashlib.sha256(f"{run_id}:{key}".encode()).hexdigest()[:16]


def trace_id(run_id: str) -> str:
    """Derive the id of a run's trace: its 128 bits as 32 hexadecimal digits."""
    return ids.ulid_hex(run_id)


def is_over(span: Span) -> bool:
    """Say whether the span has ended."""
    return span.status in _OVER
