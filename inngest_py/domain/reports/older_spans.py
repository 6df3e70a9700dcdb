"""The older form of a run's timeline, which clients get unless they ask for the newer one.

Protocol: api.md §5.5. It differs from spans.py in names, and shows a failed request with the step
that its retry found. A step that waits for a retry is shown as running.
"""

from collections.abc import Sequence
from dataclasses import replace

from . import spans
from .timeline import EndedAttempt, Pending, Span, SpanStatus, StepOp, TimelineRun

EXECUTE = "execute"
SUCCESS = "function success"
ERROR = "function error"
INVOKE = "invoke"


def tree(run: TimelineRun, tried: Sequence[EndedAttempt], pending: Sequence[Pending]) -> Span:
    """Build a run's timeline; `tried` is in the order in which the attempts ended."""
    root = spans.tree(run, _joined(tried), pending)
    for child in root.children:
        _restyle(child)
    first = next((item for item in pending if _is_first_request(item)), None)
    if first is not None and not root.children:
        root.adopt(_request(run, first))
    return root


def _joined(tried: Sequence[EndedAttempt]) -> list[EndedAttempt]:
    """Show the failed attempts of a request with the step that its retry found."""
    found = list(tried)
    for place in range(len(found) - 1, -1, -1):
        row = found[place]
        if row.step is not None or row.status != "errored":
            continue
        following = next((each for each in found[place + 1 :] if _retries(each, row)), None)
        if following is not None and following.step is not None:
            found[place] = replace(row, step=following.step)
    return found


def _retries(later: EndedAttempt, row: EndedAttempt) -> bool:
    """Say whether `later` is the retry of `row`."""
    return later.attempt == row.attempt + 1 and later.started_at >= row.ended_at


def _is_first_request(item: Pending) -> bool:
    return item.step is None and item.attempt == 0 and item.status is SpanStatus.RUNNING


def _request(run: TimelineRun, item: Pending) -> Span:
    return Span(
        id=spans.span_id(run.id, "request-next-0"),
        run_id=run.id,
        name=EXECUTE,
        status=item.status,
        queued_at=item.queued_at,
        started_at=max(item.queued_at, item.due_at),
        ended_at=None,
    )


def _restyle(span: Span) -> None:
    waits_for_retry = span.status is SpanStatus.QUEUED and bool(span.children)
    span.children = [child for child in span.children if child.status is not SpanStatus.QUEUED]
    if waits_for_retry:
        span.status = SpanStatus.RUNNING
    span.name = _name(span)


def _name(span: Span) -> str:
    if span.type == spans.FINAL:
        return SUCCESS if span.status is SpanStatus.COMPLETED else ERROR
    if span.step is None and span.name in (spans.EXECUTION, spans.DISCOVERY):
        return EXECUTE
    return INVOKE if span.op is StepOp.INVOKE else span.name
