"""A run's timeline, read and built: see domain/spans.py."""

from typing import Any

from sqlalchemy import Connection, RowMapping

from ..domain import canonical, spans
from ..domain.items import ItemKind, ItemState
from ..domain.runs import RunStatus
from ..domain.spans import Pending, Span, SpanStatus, TracedRun, Tried
from . import traces

# Other items are no requests, or time-outs of waits, which the attempts show already.
_SHOWN = {ItemKind.START, ItemKind.EDGE, ItemKind.SLEEP, ItemKind.GATEWAY}


def of_run(tx: Connection, run: RowMapping, *, has_output: bool) -> Span:
    """Read what a run's timeline is built of and build it."""
    return tree_of(run, traces.of_run(tx, run["id"]), has_output=has_output)


def tree_of(run: RowMapping, found: traces.Trace, *, has_output: bool) -> Span:
    """Build a run's tree of what is stored."""
    return spans.tree(
        _traced(run, has_output=has_output),
        [_tried(row) for row in found.attempts],
        [_pending(item) for item in found.queued if item["kind"] in _SHOWN],
    )


def _traced(run: RowMapping, *, has_output: bool) -> TracedRun:
    return TracedRun(
        id=run["id"],
        status=RunStatus(run["status"]),
        queued_at=run["queued_at"],
        started_at=run["started_at"],
        ended_at=run["ended_at"],
        has_output=has_output,
    )


def _tried(row: RowMapping) -> Tried:
    return Tried(
        id=row["id"],
        step=row["step"],
        name=row["name"],
        op=row["op"],
        attempt=row["attempt"],
        status=row["status"],
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        http_status=row["http_status"],
        has_error=row["error"] is not None,
        info=canonical.loads(row["info"]) if row.get("info") else None,
    )


def _pending(item: Any) -> Pending:
    sleeps = item["kind"] == ItemKind.SLEEP.value
    status = SpanStatus.QUEUED
    if sleeps:
        status = SpanStatus.WAITING
    elif item["state"] == ItemState.LEASED.value:
        status = SpanStatus.RUNNING
    return Pending(
        step=item["step"],
        name=item["step_name"] or "",
        op="Sleep" if sleeps else "",
        attempt=item["attempt"],
        status=status,
        queued_at=item["queued_at"],
        due_at=item["due_at"],
        info={"sleepUntil": item["due_at"]} if sleeps else None,
    )
