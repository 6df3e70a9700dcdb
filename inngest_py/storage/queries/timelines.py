"""Read a run's rows and build its timeline: see domain/reports/spans.py."""

from collections.abc import Mapping

from sqlalchemy import Connection, RowMapping, select

from ...domain.reply import answer_headers
from ...domain.reports import older_spans, spans, task_spans
from ...domain.reports.timeline import (
    EndedAttempt,
    Pending,
    Span,
    SpanStatus,
    SpanTask,
    TimelineRun,
)
from ...domain.runs import made_by
from ...domain.runs.items import ItemKind, ItemState
from ...domain.runs.runs import ENDED, RunStatus
from ...domain.steps import task_states, tasks, waits
from ...domain.values import canonical
from ..db.columns import table_of
from ..runs.runs import RunRow
from . import timeline_rows

_runs = table_of(RunRow)
# Other items are not requests, or are time-outs of waits, which the attempts already show.
_SHOWN = {ItemKind.START, ItemKind.EDGE, ItemKind.SLEEP, ItemKind.GATEWAY, ItemKind.TASK}


def of_run(tx: Connection, run: RowMapping, *, has_output: bool, older: bool = False) -> Span:
    """Read and build a run's timeline; with `older`, in the older shape (older_spans)."""
    found = timeline_rows.of_run(tx, run["id"])
    return tree_of(run, found, _children(tx, run, found), has_output=has_output, older=older)


def tree_of(
    run: RowMapping,
    found: timeline_rows.TimelineRows,
    children: Mapping[str, str] | None = None,
    *,
    has_output: bool,
    older: bool = False,
) -> Span:
    """Build a run's tree of spans; `children` are the runs that invoke steps wait for, by step."""
    draw = older_spans.tree if older else spans.tree
    return draw(
        _traced(run, has_output=has_output),
        [_tried(row, children or {}, found) for row in found.attempts],
        [_pending(item, found) for item in found.queued if item["kind"] in _SHOWN],
    )


def _children(tx: Connection, run: RowMapping, found: timeline_rows.TimelineRows) -> dict[str, str]:
    """Find the runs that a live run's invoke steps wait for, by step."""
    last = {row["step"]: row for row in found.attempts if row["step"] is not None}
    steps = [
        step
        for step, row in last.items()
        if (row["status"], row["op"]) == ("waiting", "InvokeFunction")
    ]
    if not steps or RunStatus(run["status"]) in ENDED:
        return {}
    known = {waits.correlation_id(run["id"], step): step for step in steps}
    query = select(_runs.c.id, _runs.c.correlation_id).where(_runs.c.correlation_id.in_(known))
    return {known[row.correlation_id]: row.id for row in tx.execute(query)}


def _traced(run: RowMapping, *, has_output: bool) -> TimelineRun:
    return TimelineRun(
        id=run["id"],
        status=RunStatus(run["status"]),
        queued_at=run["queued_at"],
        started_at=run["started_at"],
        ended_at=run["ended_at"],
        has_output=has_output,
    )


def _tried(
    row: RowMapping, children: Mapping[str, str], found: timeline_rows.TimelineRows
) -> EndedAttempt:
    stored = canonical.loads(row["info"]) if row.get("info") else None
    info, headers = answer_headers.apart(stored)
    if row["step"] in children and row["status"] == "waiting":
        info = (info or {}) | {"runID": children[row["step"]]}
    task, queued_at, started_at = task_of_attempt(row, found), row["queued_at"], row["started_at"]
    if task is not None:
        started_at = task.started_at or started_at
    elif found.has_tasks and row["op"] == spans.FINALIZATION:  # no code of its own runs then
        queued_at = started_at = row["ended_at"]
    return EndedAttempt(
        id=row["id"],
        step=row["step"],
        name=row["name"],
        op=row["op"],
        attempt=row["attempt"],
        status=row["status"],
        queued_at=queued_at,
        started_at=started_at,
        ended_at=row["ended_at"],
        http_status=row["http_status"],
        has_error=row["error"] is not None,
        info=None if task is not None else info,
        task=task,
        worker=made_by.shown(row["worker"]),
        headers=headers,
    )


def task_of_attempt(row: RowMapping, found: timeline_rows.TimelineRows) -> SpanTask | None:
    """Describe the Celery task of an attempt that has ended; None for other attempts."""
    if row["op"] != tasks.OP or row["info"] is None:
        return None
    name = canonical.loads(row["info"])["task"]
    return task_spans.of_attempt(
        name, found.executions.get(name, ()), sent=row["started_at"], ended=row["ended_at"]
    )


def task_of_item(item: RowMapping, found: timeline_rows.TimelineRows) -> SpanTask | None:
    """Describe the Celery task of an item that was sent; None for other items."""
    sent = task_states.from_json(item["task"])
    if sent is None or sent.attempt != item["attempt"] or item["state"] != ItemState.LEASED.value:
        return None
    name = tasks.task_id(item["id"], item["attempt"])
    return task_spans.of_sent(name, found.executions.get(name, ()), sent)


def _pending(item: RowMapping, found: timeline_rows.TimelineRows) -> Pending:
    sleeps = item["kind"] == ItemKind.SLEEP.value
    task = task_of_item(item, found)
    status = SpanStatus.QUEUED
    if sleeps:
        status = SpanStatus.WAITING
    elif task is not None:
        status = SpanStatus.QUEUED if task.started_at is None else SpanStatus.RUNNING
    elif item["state"] == ItemState.LEASED.value:
        status = SpanStatus.RUNNING
    op = tasks.OP if item["kind"] == ItemKind.TASK.value else ""
    return Pending(
        step=item["step"],
        name=item["step_name"] or "",
        op="Sleep" if sleeps else op,
        attempt=item["attempt"],
        status=status,
        queued_at=item["queued_at"],
        due_at=item["due_at"],
        info={"sleepUntil": item["due_at"]} if sleeps else None,
        task=task,
    )
