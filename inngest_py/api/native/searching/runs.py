"""`GET /v1/runs`: the list of runs, with the filters of the dashboard's; also under /api/v1."""

from dataclasses import replace
from datetime import datetime
from typing import TypedDict

from flask import Response, request
from flask_smorest import Blueprint
from marshmallow import Schema, fields, validate
from sqlalchemy import Connection, RowMapping

from ....domain.errors import Invalid
from ....domain.operations import selections
from ....domain.operations.selections import RunSelection
from ....domain.runs.phases import Phase
from ....domain.runs.runs import LIVE
from ....domain.values.json_fields import JsonFields
from ....domain.values.json_types import JsonObject
from ....engine.admin import run_search
from ....engine.admin.run_search import RunSearch
from ....engine.operations import selecting
from ....storage.queries import paging, run_list
from ....storage.queries.errors import run_errors
from ....storage.queries.errors.run_errors import ErrorLine
from ....storage.queries.operations import operation_list
from ....storage.queries.paging import Page, Position, Window
from ... import shapes
from ...deps import context
from ...errors import answer
from .. import openapi
from . import pages
from .search_keys import pairs_of

native = openapi.documented("runs")
blueprint = openapi.documented("v1_runs", prefix="/v1")
SUMMARY = (
    *("id", "status", "phase", "function_slug", "app_name", "event_name", "event_id"),
    *("queued_at", "started_at", "ended_at", "cron", "skip_reason", "original_run_id"),
)
_MOST = 500
_QUEUED_AT = run_list.TIMES[0]
_WORDS = [*openapi.STATUSES, *(phase for phase in Phase if phase not in openapi.STATUSES)]
_KEY = "a declared search key and its value; also as key.order_id=A-1"
_ERROR = "the id of an error: of its failed runs those that nothing has repeated"
_TIME_FIELD = "the time by which runs are listed, and which since and until bound"
_SELECTED = ("status", "function", "app", "event", "text", "cel", "error")


def _described(text: str) -> fields.String:
    return fields.String(metadata={"description": text})


class RunsQuery(Schema):
    """Which runs to list."""

    status = fields.List(
        fields.String(validate=validate.OneOf(_WORDS)),
        metadata={"description": "statuses, and phases of runs that have not ended"},
    )
    phase = fields.List(fields.String(validate=validate.OneOf(list(Phase))))
    function = _described("a function's slug or id")
    app = _described("an app's name")
    since = openapi.Moment(metadata={"description": "from this time on"})
    until = openapi.Moment(metadata={"description": "before this time"})
    queued_after = openapi.Moment(metadata={"description": "since, of queued_at"})
    queued_before = openapi.Moment(metadata={"description": "until, of queued_at"})
    event = _described("the event's name, or what it begins with, as in shop/*")
    text = _described("the run, its event, output or errors contain it")
    cel = _described("an expression over event, output and error")
    error = _described(_ERROR)
    key = fields.List(fields.String(), metadata={"description": _KEY, "example": ["order_id:A-1"]})
    time_field = fields.String(
        load_default=_QUEUED_AT,
        validate=validate.OneOf(run_list.TIMES),
        metadata={"description": _TIME_FIELD},
    )
    oldest_first = fields.Boolean(load_default=False)
    cursor = _described("the last answer's `cursor`")
    limit = fields.Integer(load_default=20, validate=validate.Range(1, _MOST))


class RunList(Schema):
    """A page of runs; `cursor` asks for the next one."""

    data = fields.List(fields.Nested(openapi.RunSummary), required=True)
    cursor = fields.String(required=True, allow_none=True)
    has_more = fields.Boolean(required=True)
    stopped = pages.stopped()
    fetched_at = fields.String(
        required=True,
        metadata={
            "format": "date-time",
            "description": "the server's time before it looked: ask for what follows since then",
        },
    )


class RunsArguments(TypedDict, total=False):
    """The query of a list of runs, as RunsQuery reads it."""

    limit: int
    cursor: str
    status: list[str]
    phase: list[str]
    function: str
    app: str
    since: datetime
    until: datetime
    queued_after: datetime
    queued_before: datetime
    event: str
    text: str
    cel: str
    error: str
    key: list[str]
    time_field: str
    oldest_first: bool


def list_runs(query: RunsArguments) -> Response:
    """List runs, newest first, by filters that all have to hold.

    A search by text, by a part of the event's name or by an expression may end before the page is
    full: then `stopped` is true, and `cursor` continues it.
    """
    by, fetched_at = _order(query), shapes.stamp(context().now())
    after = by.position_of(query.get("cursor"))
    chosen = _chosen(query)
    with context().db.reading() as tx:
        wanted = _search(tx, query, chosen)
    found = _page(wanted, by, after, query["limit"])
    with context().db.reading() as tx:
        again = operation_list.last_reruns(tx, [row["id"] for row in found.rows])
        errors = run_errors.lines(tx, found.rows)
    rows = [summary(row, again.get(row["id"]), errors.get(row["id"])) for row in found.rows]
    return answer(
        {
            "data": rows,
            "cursor": found.next,
            "has_more": found.more,
            "stopped": found.stopped,
            "fetched_at": fetched_at,
        }
    )


def _order(query: RunsArguments) -> paging.Order:
    """Choose the order; ids sort as times of queueing do."""
    oldest_first = query["oldest_first"]
    if query["time_field"] == _QUEUED_AT:
        return run_list.OLDEST if oldest_first else run_list.NEWEST
    return run_list.order([(query["time_field"], not oldest_first)])


def _chosen(query: RunsArguments) -> RunSelection:
    """Check the filters as those of an operation are checked. Raises Invalid."""
    given: JsonObject = {name: query[name] for name in _SELECTED if name in query}  # type: ignore[literal-required]
    since, until = query.get("queued_after"), query.get("queued_before")
    if (since or until) and query["time_field"] != _QUEUED_AT:
        name = "queued_after" if since else "queued_before"
        wanted = "since" if since else "until"
        raise Invalid(f"{name} is for the time_field {_QUEUED_AT}: give {wanted}", field=name)
    return replace(
        selections.read_runs(JsonFields(given)),
        since=query.get("since", since),
        until=query.get("until", until),
        keys=tuple(pairs_of(query.get("key", []), list(request.args.items(multi=True)))),
    )


def _search(tx: Connection, query: RunsArguments, chosen: RunSelection) -> RunSearch:
    now = context().now()
    if chosen.error is not None:
        selecting.error_of(tx, chosen.error, now)
    made = run_search.query_of(tx, chosen)
    found_by, looked_up = run_search.divided(tx, made.conditions)
    made = replace(made, time_field=query["time_field"], conditions=found_by, looked_up=looked_up)
    if asked := query.get("phase"):  # without a status, of runs that have not ended
        phases = [*(made.phases or ()), *map(Phase, asked)]
        made = replace(made, phases=phases, statuses=made.statuses or list(LIVE))
    return RunSearch(made, chosen.filter, now)


def _page(wanted: RunSearch, by: paging.Order, after: Position | None, first: int) -> Page:
    """Read a page, each window of a search in a transaction of its own."""

    def fetch(start: Position | None, limit: int) -> Window:
        with context().db.reading() as tx:
            return wanted.look(tx, start, limit, by=by, columns=SUMMARY)

    return pages.read(fetch, by, first=first, after=after, fits=wanted.fits)


def summary(row: RowMapping, again: RowMapping | None, error: ErrorLine | None) -> JsonObject:
    """Shape a run; `again` is the newest run that repeats it, `error` why it failed."""
    repeated = ("id", "status", "operation_id")
    return {
        "id": row["id"],
        "status": row["status"],
        "phase": row["phase"],
        "function": row["function_slug"],
        "app": row["app_name"],
        "event": row["event_name"],
        "event_id": row["event_id"],
        "queued_at": shapes.stamp(row["queued_at"]),
        "started_at": shapes.stamp(row["started_at"]),
        "ended_at": shapes.stamp(row["ended_at"]),
        "cron": row["cron"],
        "skip_reason": row["skip_reason"],
        "original_run_id": row["original_run_id"],
        "last_rerun": again and {name: again[name] for name in repeated},
        "error": error
        and {"name": error.name, "message": error.message, "error_id": error.error_id},
    }


def _add_to(routes: Blueprint) -> None:
    """Add the route to a blueprint."""
    view = routes.response(200, RunList)(list_runs)
    for code in (400, 404):
        view = routes.alt_response(code, schema=openapi.Problem)(view)
    routes.get("/runs")(routes.arguments(RunsQuery, location="query")(view))


for _routes in (native, blueprint):
    _add_to(_routes)
