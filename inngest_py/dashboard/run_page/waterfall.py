"""A run's timeline as rows of a waterfall, which shows queueing, waiting and running. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ...domain.reports.spans import is_over
from ...domain.reports.timeline import Span, SpanStatus, SpanTask, StepOp

MOST_ROWS = 400
WAITS = {StepOp.SLEEP, StepOp.INVOKE, StepOp.WAIT_FOR_EVENT, StepOp.WAIT_FOR_SIGNAL}
_LIVE_CSS = {SpanStatus.FAILED: "failed", SpanStatus.CANCELLED: "cancelled"}
Part = tuple[datetime, datetime, str]  # from, to, what it was: queue, broker, wait, run, failed …


@dataclass(frozen=True, slots=True)
class Row:
    """A span, its depth in the tree, and the parts of its bar as shares of the whole."""

    span: Span
    depth: int
    parts: Sequence[tuple[float, float, str]]
    took: timedelta
    queued: timedelta
    goes_on: bool


@dataclass(slots=True)
class Waterfall:
    """The rows, up to MOST_ROWS; `left_out` counts the others."""

    rows: list[Row] = field(default_factory=list)
    left_out: int = 0
    start: datetime | None = None
    length: timedelta = timedelta(0)

    @property
    def has_tasks(self) -> bool:
        """Whether some of the rows are Celery tasks."""
        return any(row.span.task is not None for row in self.rows)


def waterfall(root: Span, now: datetime) -> Waterfall:
    """Lay out a timeline; spans that have not ended last until now."""
    start = root.queued_at
    end = max([_end(span, now) for span, _ in _walk(root)])
    length = max(end - start, timedelta(milliseconds=1))
    made = Waterfall(start=start, length=end - start)
    for span, depth in _walk(root):
        if len(made.rows) >= MOST_ROWS:
            made.left_out += 1
            continue
        parts = _parts(span, now)
        shares = [
            (_share(begin - start, length), _share(finish - start, length), css)
            for begin, finish, css in parts
            if finish > begin
        ]
        began = span.started_at or _end(span, now)
        queued = max(began - span.queued_at, timedelta(0))
        took = max(_end(span, now) - began, timedelta(0))
        goes_on = span.ended_at is None and not is_over(span)
        made.rows.append(Row(span, depth, shares, took, queued, goes_on))
    return made


def find(root: Span, span_id: str) -> Span | None:
    """Find a span of a timeline."""
    return next((span for span, _ in _walk(root) if span.id == span_id), None)


def _walk(span: Span, depth: int = 0) -> Iterator[tuple[Span, int]]:
    yield span, depth
    for child in span.children:
        yield from _walk(child, depth + 1)


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


def _end(span: Span, now: datetime) -> datetime:
    if span.ended_at is not None:
        return span.ended_at
    own = [child.ended_at for child in span.children if child.ended_at is not None]
    if is_over(span) and own:
        return max(own)
    return max(now, span.queued_at)


def _share(part: timedelta, whole: timedelta) -> float:
    return min(1.0, max(0.0, part / whole))
