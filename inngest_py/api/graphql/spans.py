"""Timelines: a run's tree of spans, and the output of each span."""

from ariadne import ObjectType, UnionType
from sqlalchemy import RowMapping

from ...domain.errors import NotFound
from ...domain.reports import spans
from ...domain.reports.timeline import Span, StepOp
from ...domain.runs import outputs
from ...domain.runs.runs import RunStatus
from ...domain.values import canonical, ids, times
from ...domain.values.json_types import JsonObject
from ...storage.queries import timeline_rows, timelines
from .. import costs
from . import runs, tokens
from .request import Info, QueryContext, of
from .root import query

span_type = ObjectType("RunTraceSpan")
info_type = UnionType("StepInfo")
_WAITS: dict[StepOp | None, str] = {
    StepOp.INVOKE: "InvokeStepInfo",
    StepOp.WAIT_FOR_EVENT: "WaitForEventStepInfo",
    StepOp.WAIT_FOR_SIGNAL: "WaitForSignalStepInfo",
}


class Timeline:
    """A run with its tree of spans; resolvers of spans get nodes of it."""

    def __init__(self, request: QueryContext, run: RowMapping, *, older: bool) -> None:
        self.run = run
        self.metadata: list[RowMapping] | None = None  # read on first use
        request.outputs.want([run["id"]])
        has_output = request.outputs.get(run["id"]) is not None
        self.root = request.read(
            lambda tx: timelines.of_run(tx, run, has_output=has_output, older=older)
        )


class Node:
    """A span within its timeline."""

    __slots__ = ("span", "timeline")

    def __init__(self, timeline: Timeline, span: Span) -> None:
        self.timeline, self.span = timeline, span


@runs.run_type.field("trace")
def trace_of_run(run: RowMapping, info: Info, preview: bool | None = None) -> Node:
    """Build a run's timeline, in the older form unless `preview` is set."""
    return _root(of(info), run, older=not preview)


def _root(request: QueryContext, run: RowMapping, *, older: bool = False) -> Node:
    timeline = Timeline(request, run, older=older)
    return Node(timeline, timeline.root)


@query.field("runTrace")
def show_trace(_: object, info: Info, runID: str) -> Node:
    """Build a run's timeline."""
    return _root(of(info), runs.find(of(info), runID))


@query.field("runTraceSpanOutputByID")
def show_output(_: object, info: Info, outputID: str) -> outputs.Parts:
    """Show a span's data or its error, and its input."""
    request = of(info)
    place = tokens.read_output(outputID)
    step = place.step
    given: outputs.Parts = {}
    if step is not None:
        text = request.read(lambda tx: timeline_rows.step_input(tx, place.run_id, step))
        given = {} if text is None else {"input": request.count_text(text)}
    if place.attempt_id is not None:
        attempt_id = place.attempt_id
        error = request.read(lambda tx: timeline_rows.attempt_error(tx, place.run_id, attempt_id))
        return given | outputs.shown_error(request.count_text(_there(error)))
    if step is not None:
        stored = request.read(lambda tx: timeline_rows.step_output(tx, place.run_id, step))
        return given | outputs.shown(request.count_text(_there(stored)))
    run = runs.find(request, place.run_id)
    stored = request.count_text(_there(request.outputs.get(place.run_id)))
    failed = run["status"] == RunStatus.FAILED.value
    return outputs.shown_error(stored) if failed else {"data": stored}


def _there(stored: str | None) -> str:
    if stored is None:
        raise NotFound("what the span gave is not stored any more")
    return stored


@span_type.field("childrenSpans")
def children(node: Node, info: Info) -> list[Node]:
    """List the children of a span."""
    found = of(info).count_rows(node.span.children)
    return [Node(node.timeline, span) for span in found]


@span_type.field("parentSpan")
def parent(node: Node, info: Info) -> Node | None:
    """Find the span's parent."""
    found = node.span.parent
    if found is None:
        return None
    of(info).count_rows([found])
    return Node(node.timeline, found)


@span_type.field("run")
def run_of_span(node: Node, _: Info) -> RowMapping:
    """Find the span's run."""
    return node.timeline.run


@span_type.field("outputID")
def output_id(node: Node, _: Info) -> str | None:
    """Make the token of the span's output."""
    output = node.span.output
    return None if output is None else tokens.write_output(output)


@span_type.field("duration")
def duration_ms(node: Node, _: Info) -> int | None:
    """Return how many milliseconds the span took."""
    found = node.span.duration
    return None if found is None else min(round(found.total_seconds() * 1000), 2**31 - 1)


@span_type.field("stepInfo")
def step_info(node: Node, _: Info) -> JsonObject | None:
    """Return what the step waits for, or its special type."""
    span = node.span
    info = span.info or {}
    if span.op is StepOp.SLEEP:
        return {"kind": "SleepStepInfo", "sleepUntil": _moment(info.get("sleepUntil"), span)}
    if span.op in _WAITS and info:
        # a field of that name belongs to RunStepInfo
        shown = {name: value for name, value in info.items() if name != "type"}
        timeout = _moment(info.get("timeout"), span)
        return shown | {"kind": _WAITS[span.op], "timeout": timeout}
    if span.op is StepOp.RUN and span.type not in (None, StepOp.RUN.value):
        return {"kind": "RunStepInfo", "type": span.type}
    return None


def _moment(given: object, span: Span) -> object:
    """Read a time of a step's info; an old sleep has none, so its end is used."""
    return times.parse_time(given) if isinstance(given, str) else given or span.ended_at


@info_type.type_resolver
def info_kind(info: JsonObject, *_: object) -> str:
    """Return the member of the union."""
    return str(info["kind"])


@span_type.field("metadata")
def metadata(node: Node, info: Info) -> list[JsonObject]:
    """List the metadata of the run, the step or the attempt that the span shows."""
    request, timeline, span = of(info), node.timeline, node.span
    if timeline.metadata is None:
        timeline.metadata = request.read(lambda tx: timeline_rows.metadata_of(tx, span.run_id))
    found = request.count_rows([row for row in timeline.metadata if _is_about(row, span)])
    return [
        {
            "scope": row["scope"],
            "kind": row["kind"],
            "values": canonical.loads(request.count_text(costs.content(row))),
            "updatedAt": row["updated_at"],
        }
        for row in found
    ]


def _is_about(row: RowMapping, span: Span) -> bool:
    """Say whether metadata belongs to a span; an attempt without a span shows with its step."""
    if row["step"] is None:
        return span.is_root
    if row["step"] != span.step:
        return False
    is_attempt = span.parent is not None and not span.parent.is_root
    if row["attempt"] is None:
        return not is_attempt
    return bool(row["attempt"] == span.attempts) and (is_attempt or not span.children)


@span_type.field("response")
def response(node: Node, _: Info) -> JsonObject | None:
    """Return the status of the SDK's answer; its headers are stored if the attempt failed."""
    status, headers = node.span.http_status, node.span.headers
    return None if status is None else {"statusCode": status, "headers": headers}


@span_type.field("traceID")
def trace_id(node: Node, _: Info) -> str:
    """Derive the trace's id."""
    return spans.trace_id(node.span.run_id)


@span_type.field("groupID")
def group_id(node: Node, _: Info) -> str:
    """Return the id that all attempts of a step share: that of the step's span."""
    span = node.span
    own = span.parent if span.parent is not None and not span.parent.is_root else span
    return own.id


@span_type.field("parentSpanID")
def parent_span_id(node: Node, _: Info) -> str | None:
    """Return the id of the span's parent."""
    return node.span.parent.id if node.span.parent is not None else None


def _debug_id(node: Node, info: Info, name: str) -> str | None:
    """Read an id of a debugging session from the run's event; an invocation put it there."""
    payload = of(info).payloads.get(node.timeline.run["event_id"])
    meta = canonical.loads(payload).get("meta") if payload is not None else None
    debug = meta.get("debug") if isinstance(meta, dict) else None
    found = debug.get(name) if isinstance(debug, dict) else None
    return found if isinstance(found, str) and ids.is_ulid(found) else None


@span_type.field("debugSessionID")
def debug_session_id(node: Node, info: Info) -> str | None:
    """Return the id of the debugging session that invoked the run."""
    return _debug_id(node, info, "sessionID")


@span_type.field("debugRunID")
def debug_run_id(node: Node, info: Info) -> str | None:
    """Return the id of the debugging session's run."""
    return _debug_id(node, info, "runID")


def _from_span(name: str, column: str) -> None:
    span_type.set_field(name, lambda node, _info: getattr(node.span, column))


def _from_run(name: str, column: str) -> None:
    span_type.set_field(name, lambda node, _info: node.timeline.run[column])


def _constant(name: str, value: object) -> None:
    span_type.set_field(name, lambda _node, _info: value)


for _name, _column in {
    "runID": "run_id",
    "spanID": "id",
    "name": "name",
    "status": "status",
    "attempts": "attempts",
    "queuedAt": "queued_at",
    "scheduledAt": "queued_at",
    "startedAt": "started_at",
    "endedAt": "ended_at",
    "stepOp": "op",
    "stepID": "step",
    "stepType": "type",
    "isRoot": "is_root",
}.items():
    _from_span(_name, _column)
_from_run("appID", "app_id")
_from_run("functionID", "function_id")
_from_run("skipReason", "skip_reason")
_from_run("skipExistingRunID", "existing_run_id")
# the server receives nothing from SDKs' own tracing and debuggers
_constant("isUserland", False)
_constant("debugPaused", False)

TYPES = (span_type, info_type)
