"""`GET /v2/runs/{id}/trace`: a run's timeline as a tree of spans."""

from collections.abc import Sequence

from flask import Response
from sqlalchemy import Connection, RowMapping

from ...domain.errors import NotFound
from ...domain.reports.timeline import Output, Span
from ...domain.runs import outputs
from ...domain.runs.runs import RunStatus
from ...domain.values import canonical
from ...domain.values.json_types import JsonObject
from ...storage.queries import run_lookups, timeline_rows, timelines
from .. import costs, shapes
from ..deps import context
from .common import blueprint, enveloped, flag, raw, ulid
from .shapes import milliseconds

_STATUS = {"QUEUED": "UNKNOWN"}
_PART_OF_STEP = ("step", "step_attempt")


@blueprint.get("/runs/<run_id>/trace")
def show_trace(run_id: str) -> Response:
    """Show a run's timeline, with each span's output if asked for."""
    ulid(run_id, "run")
    with context().db.reading() as tx:
        row = run_lookups.get(tx, run_id)
        if row is None:
            raise NotFound(f"run {run_id} does not exist")
        root = timelines.of_run(tx, row, has_output=run_lookups.has_output(tx, run_id))
        reader = _Reader(
            tx, row, timeline_rows.metadata_of(tx, run_id), bool(flag("includeOutput"))
        )
        shown = reader.span(root)
    return enveloped({"runId": run_id, "rootSpan": shown})


class _Reader:
    """Shapes the spans of one run."""

    def __init__(
        self, tx: Connection, run: RowMapping, metadata: Sequence[RowMapping], with_output: bool
    ) -> None:
        self._tx, self._run, self._metadata, self._with_output = tx, run, metadata, with_output

    def span(self, span: Span) -> JsonObject:
        """Shape a TraceSpan with its children."""
        return {
            "id": span.id,
            "name": span.name,
            "status": _STATUS.get(span.status.value, span.status.value),
            "stepOp": None if span.op is None else span.op.value,
            "stepId": span.step,
            "durationMs": milliseconds(span.started_at or span.queued_at, span.ended_at),
            "queuedAt": shapes.stamp(span.queued_at),
            "startedAt": shapes.stamp(span.started_at),
            "endedAt": shapes.stamp(span.ended_at),
            **({} if span.task is None else {"task": _task(span)}),
            **(self._values(span.output) if self._with_output else {}),
            "metadata": [_metadata(row) for row in self._metadata if _belongs(row, span)],
            "children": [self.span(child) for child in span.children],
        }

    def _values(self, place: Output | None) -> JsonObject:
        """Read a span's input, and its data or its error."""
        if place is None:
            return {}
        parts: outputs.Parts
        if place.attempt_id is not None:
            stored = timeline_rows.attempt_error(self._tx, place.run_id, place.attempt_id)
            parts = {} if stored is None else outputs.shown_error(stored)
        elif place.step is not None:
            stored = timeline_rows.step_output(self._tx, place.run_id, place.step)
            parts = {} if stored is None else outputs.shown(stored)
        else:
            stored = run_lookups.outputs(self._tx, [place.run_id]).get(place.run_id)
            if self._run["status"] == RunStatus.FAILED.value:
                parts = outputs.shown_error(stored or "null")
            else:
                parts = {} if stored is None else {"data": stored}
        given = parts.get("input")
        if given is None and place.step is not None:
            given = timeline_rows.step_input(self._tx, place.run_id, place.step)
        found = {"input": given, "output": parts.get("data")}
        shown: JsonObject = {name: raw(text) for name, text in found.items() if text is not None}
        if "error" in parts:
            error = {key: value for key, value in parts["error"].items() if value is not None}
            shown["output"] = raw(canonical.dumps(error).decode())
        return shown


def _belongs(row: RowMapping, span: Span) -> bool:
    if row["scope"] not in _PART_OF_STEP:
        return span.is_root
    if row["step"] != span.step or span.step is None:
        return False
    own = span.parent is not None and span.parent.is_root
    if row["attempt"] is None or not span.children:
        return own
    return not own and span.attempts == row["attempt"]


def _task(span: Span) -> JsonObject:
    """Shape the Celery task of a span: `queuedMs` is its time in the broker and with its worker."""
    task = span.task
    assert task is not None
    return {
        "id": task.id,
        "queue": task.queue,
        "worker": task.host,
        "sentAt": shapes.stamp(task.sent_at),
        "receivedAt": shapes.stamp(task.received_at),
        "startedAt": shapes.stamp(task.started_at),
        "queuedMs": milliseconds(task.sent_at or task.received_at, task.started_at),
        "error": span.error,
    }


def _metadata(row: RowMapping) -> JsonObject:
    return {
        "scope": row["scope"].upper(),
        "kind": row["kind"],
        "values": raw(costs.content(row)),
        "updatedAt": shapes.stamp(row["updated_at"]),
    }
