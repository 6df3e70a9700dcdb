"""A run's timeline as rows of a waterfall, which shows queueing, waiting and running. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ...domain.reports.spans import is_over
from ...domain.reports.timeline import Span, SpanStatus, SpanTask, StepOp
from .nodes import Kind, Node
from .time_axis import Interval, TimeAxis
from .view import Show, View

MOST_ROWS = 200
_FEW = 40  # a timeline with no more rows than this shows all attempts
_MOST_LONGEST = 50
_MOST_EXPOSED = 5  # failed members of a folded group that are shown all the same
_MOST_PARTS = 300  # of a bar
WAITS = {StepOp.SLEEP, StepOp.INVOKE, StepOp.WAIT_FOR_EVENT, StepOp.WAIT_FOR_SIGNAL}
_IDLE = {"queue", "wait", "broker", "whole"}
_LIVE_CSS = {SpanStatus.FAILED: "failed", SpanStatus.CANCELLED: "cancelled"}
Part = tuple[datetime, datetime, str]  # from, to, what it was: queue, broker, wait, run, failed …


@dataclass(frozen=True, slots=True)
class Row:
    """A node, its depth in the tree, and the parts of its bar as shares of the axis.

    `is_open` is None for a row that has nothing to unfold.
    """

    node: Node
    depth: int
    parts: Sequence[tuple[float, float, str]]
    took: timedelta
    queued: timedelta
    goes_on: bool
    is_open: bool | None = None


@dataclass(slots=True)
class Waterfall:
    """The rows from the view's first, up to MOST_ROWS; `size` counts all of this view.

    `whole` is the row of the run, which is always there.
    """

    whole: Row
    axis: TimeAxis
    rows: list[Row] = field(default_factory=list)
    first: int = 0
    size: int = 0
    has_tasks: bool = False
    has_failed: bool = False


def waterfall(root: Node, view: View, now: datetime, chosen: Span | None = None) -> Waterfall:
    """Lay out a timeline; spans that have not ended last until now."""
    every = list(root.walk())
    busy: list[Interval] = [
        (begin, finish)
        for node in every
        if node.kind is Kind.STEP
        for begin, finish, css in _parts(node.span, now)
        if css not in _IDLE
    ]
    end = max(_end(node.span, now) for node in every)
    axis = TimeAxis(root.span.queued_at, end, busy)
    listed = [
        found for found in _listed(root, view, len(every), now, chosen) if found[0] is not root
    ]
    first = view.first if view.first < len(listed) else 0
    made = Waterfall(_row(root, 0, None, axis, now), axis, first=first, size=len(listed))
    made.rows = [
        _row(node, depth, is_open, axis, now)
        for node, depth, is_open in listed[first : first + MOST_ROWS]
    ]
    made.has_tasks = any(node.span.task is not None for node in every)
    made.has_failed = any(node.failed for node in root.children)
    return made


_Listed = tuple[Node, int, bool | None]


def _listed(
    root: Node, view: View, size: int, now: datetime, chosen: Span | None
) -> Iterator[_Listed]:
    if view.show is Show.ALL:
        yield from _unfolded(root, 0, view, size, chosen)
        return
    steps = [node for node in root.walk() if node.kind is Kind.STEP]
    if view.show is Show.FAILED:
        for step in steps:
            if step.failed:
                yield step, 1, None
                for attempt in step.children:
                    yield from ((one, 2, None) for one in attempt.walk() if one.failed)
        return
    longest = sorted(steps, key=lambda step: _took(step.span, now), reverse=True)
    yield from ((step, 1, None) for step in longest[:_MOST_LONGEST])


def _unfolded(
    node: Node, depth: int, view: View, size: int, chosen: Span | None
) -> Iterator[_Listed]:
    can_fold = bool(node.children) or node.can_load
    is_open = can_fold and (node.kind is Kind.RUN or _is_open(node, view, size, chosen))
    yield node, depth, is_open if can_fold and node.kind is not Kind.RUN else None
    if is_open:
        for child in node.children:
            yield from _unfolded(child, depth + 1, view, size, chosen)
    elif node.kind is Kind.GROUP:
        failed = [child for child in node.children if child.failed][:_MOST_EXPOSED]
        for child in node.children:
            if child in failed or _holds(child, chosen):
                yield from _unfolded(child, depth + 1, view, size, chosen)


def _is_open(node: Node, view: View, size: int, chosen: Span | None) -> bool:
    if node.id in view.open or node.id in view.shut:
        return node.id in view.open
    if node.kind is Kind.GROUP or not node.children or node.can_load:
        return False
    return size <= _FEW or node.span.status is not SpanStatus.COMPLETED or _holds(node, chosen)


def _holds(node: Node, chosen: Span | None) -> bool:
    """Say whether a node or one under it is the chosen part."""
    return chosen is not None and any(one.span is chosen for one in node.walk())


def _row(node: Node, depth: int, is_open: bool | None, axis: TimeAxis, now: datetime) -> Row:
    members = [child.span for child in node.children] if node.kind is Kind.GROUP else [node.span]
    begins = [span.started_at for span in members if span.started_at is not None]
    end = max(_end(span, now) for span in members)
    began = min(begins) if begins else end
    queued_at = min(span.queued_at for span in members)
    goes_on = any(span.ended_at is None and not is_over(span) for span in members)
    zero = timedelta(0)
    times = max(end - began, zero), max(began - queued_at, zero)
    return Row(node, depth, _shares(members, axis, now), *times, goes_on, is_open)


def _shares(
    members: Sequence[Span], axis: TimeAxis, now: datetime
) -> list[tuple[float, float, str]]:
    """Place the parts of a bar; those of a group's members are joined, the failed ones on top."""
    shares = [
        (axis.at(begin), axis.at(finish), css)
        for span in members
        for begin, finish, css in _parts(span, now)
        if finish > begin
    ]
    if len(members) == 1:
        return shares
    made: list[tuple[float, float, str]] = []
    order = ("queue", "wait", "broker", "run", "cancelled", "failed")
    for css in order:
        made += _joined([one for one in shares if one[2] == css])
    return made


def _joined(shares: Sequence[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    made: list[tuple[float, float, str]] = []
    for begin, end, css in sorted(shares):
        if made and begin <= made[-1][1] + 1 / _MOST_PARTS:
            made[-1] = (made[-1][0], max(made[-1][1], end), css)
        else:
            made.append((begin, end, css))
    return made


def find(root: Span, span_id: str) -> Span | None:
    """Find a span of a timeline."""
    return next((span for span in _walk(root) if span.id == span_id), None)


def _walk(span: Span) -> Iterator[Span]:
    yield span
    for child in span.children:
        yield from _walk(child)


def _parts(span: Span, now: datetime) -> list[Part]:
    """Split a span into its parts; between two attempts it waits."""
    if span.children and not span.is_root:
        parts: list[Part] = []
        for child in span.children:
            if parts and child.queued_at > parts[-1][1]:
                parts.append((parts[-1][1], child.queued_at, "wait"))
            parts += _parts(child, now)
        return parts
    end = _end(span, now)
    began = span.started_at
    if span.task is not None:
        return _of_task(span, span.task, end)
    if began is None:
        # an item that is due later waits for its time: a sleep, or the backoff of a retry
        return [(span.queued_at, end, "queue")] if span.queued_at < end else []
    if span.op in WAITS:
        return [(span.queued_at, end, "wait")]
    css = "whole" if span.is_root else _LIVE_CSS.get(span.status, "run")
    return [(span.queued_at, began, "queue"), (began, end, css)]


def _of_task(span: Span, task: SpanTask, end: datetime) -> list[Part]:
    """Tell a Celery task's time in our queue, with its broker and worker, and of running apart."""
    began = span.started_at or end
    sent = min(max(task.sent_at or span.queued_at, span.queued_at), began)
    css = _LIVE_CSS.get(span.status, "run")
    return [(span.queued_at, sent, "queue"), (sent, began, "broker"), (began, end, css)]


def _took(span: Span, now: datetime) -> timedelta:
    return _end(span, now) - (span.started_at or span.queued_at)


def _end(span: Span, now: datetime) -> datetime:
    if span.ended_at is not None:
        return span.ended_at
    own = [child.ended_at for child in span.children if child.ended_at is not None]
    if is_over(span) and own:
        return max(own)
    return max(now, span.queued_at)
