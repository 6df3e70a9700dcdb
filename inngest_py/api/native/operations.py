"""`/v1/operations`: rerun or cancel many runs in the background, and the same under /api/v1."""

from collections.abc import Callable
from typing import TypedDict

from flask import Response
from flask_smorest import Blueprint
from marshmallow import Schema, fields, validate
from sqlalchemy import RowMapping

from ...domain.errors import NotFound
from ...domain.functions.search_keys import by_name
from ...domain.operations import operations as rules
from ...domain.operations.operations import Kind, Outcome, State
from ...domain.values import canonical, ids
from ...domain.values.json_types import JsonObject
from ...engine.operations import manage
from ...storage.queries.operations import operation_list
from .. import shapes
from ..actors import actor
from ..deps import context
from ..errors import answer
from . import openapi
from .searching.search_keys import pairs_of

native = openapi.documented("operations")
blueprint = openapi.documented("v1_operations", prefix="/v1")
_MOST_RESULTS = 1000
_FILTERS = ("status", "function", "app", "since", "until", "event", "text", "cel", "error", "keys")
_SELECTION = {
    "description": "which runs, with filters of the list of runs: "
    + ", ".join(_FILTERS)
    + "; for replay_events: function, since, until, events",
    "example": {"function": "shop-checkout", "status": ["failed"]},
}
_RATE = {"description": "items a second, null for no limit", "example": 10}


class OperationBody(openapi.Body):
    """An operation to begin; the server checks each field, and names the one that is wrong."""

    class Meta:
        """Unknown fields are refused by name."""

        unknown = "include"

    kind = fields.Raw(metadata={"example": "rerun", "description": ", ".join(Kind)})
    selection = fields.Raw(metadata=_SELECTION)
    rate = fields.Raw(allow_none=True, metadata=_RATE)
    name = fields.Raw(allow_none=True, metadata={"description": "made of the rest if left out"})
    dry_run = fields.Raw(allow_none=True, metadata={"description": "true: only count"})


class ChangeBody(openapi.Body):
    """What to change of an operation."""

    class Meta:
        """Unknown fields are refused by name."""

        unknown = "include"

    state = fields.Raw(metadata={"example": "paused", "description": "running, paused, cancelled"})
    rate = fields.Raw(allow_none=True, metadata=_RATE)


class OperationShown(Schema):
    """An operation; `done` is what has been handled, and `runs` counts those made by status."""

    id = fields.String(required=True)
    kind = fields.String(required=True, validate=validate.OneOf(list(Kind)))
    name = fields.String(required=True)
    selection = fields.Dict(required=True)
    rate = fields.Float(required=True, allow_none=True, metadata=_RATE)
    state = fields.String(required=True, validate=validate.OneOf(list(State)))
    reason = fields.String(required=True, allow_none=True)
    note = fields.String(required=True, allow_none=True)
    total = fields.Integer(required=True)
    total_exact = fields.Boolean(
        required=True, metadata={"description": "false: there were more than `total`"}
    )
    done = fields.Integer(required=True)
    succeeded = fields.Integer(required=True)
    skipped = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    begun_by = fields.String(required=True)
    created_at = fields.String(required=True)
    ended_at = fields.String(required=True, allow_none=True)
    runs = fields.Dict(keys=fields.String(), values=fields.Integer())
    reasons = fields.List(fields.Dict())


class OperationAnswer(Schema):
    """One operation."""

    data = fields.Nested(OperationShown, required=True)


class OperationList(Schema):
    """A page of operations; `cursor` asks for the next one."""

    data = fields.List(fields.Nested(OperationShown), required=True)
    cursor = fields.String(required=True, allow_none=True)
    has_more = fields.Boolean(required=True)


class RerunBody(openapi.Body):
    """How fast the runs of an error group are run again."""

    rate = fields.Raw(allow_none=True, metadata=_RATE)


class BegunKey(Schema):
    """The id of an operation."""

    id = fields.String(required=True)


class BegunAnswer(Schema):
    """The operation that was begun."""

    data = fields.Nested(BegunKey, required=True)


class PreviewShown(Schema):
    """What an operation would do."""

    name = fields.String(required=True)
    total = fields.Integer(required=True)
    total_exact = fields.Boolean(required=True)
    functions = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "how many of each function"},
    )
    note = fields.String(required=True, allow_none=True)


class PreviewAnswer(Schema):
    """What an operation would do."""

    data = fields.Nested(PreviewShown, required=True)


class Result(Schema):
    """What became of a run or an event; `run_id` is the run that was made, `status` its status.

    `phase` is what that run does if it has not ended.
    """

    id = fields.String(required=True)
    outcome = fields.String(required=True, validate=validate.OneOf(list(Outcome)))
    reason = fields.String(required=True, allow_none=True)
    was = fields.String(required=True, allow_none=True)
    run_id = fields.String(required=True, allow_none=True)
    status = fields.String(required=True, allow_none=True)
    phase = fields.String(required=True, allow_none=True)
    function = fields.String(required=True, allow_none=True)
    at = fields.String(required=True)


class ResultList(Schema):
    """A page of results, in the order of their ids."""

    data = fields.List(fields.Nested(Result), required=True)
    cursor = fields.String(required=True, allow_none=True)
    has_more = fields.Boolean(required=True)


class PageQuery(Schema):
    """Which page of a list."""

    cursor = fields.String(metadata={"description": "the last answer's `cursor`"})
    limit = fields.Integer(load_default=50, validate=validate.Range(1, _MOST_RESULTS))


class OperationsQuery(PageQuery):
    """Which operations to list."""

    state = fields.List(fields.String(validate=validate.OneOf(list(State))))


class ResultsQuery(PageQuery):
    """Which results to list."""

    outcome = fields.String(validate=validate.OneOf(list(Outcome)))
    status = fields.String(
        validate=validate.OneOf(openapi.STATUSES), metadata={"description": "of the runs made"}
    )


class PreviewQuery(Schema):
    """An operation on runs to count, by the filters of a selection."""

    kind = fields.String(load_default="rerun")
    status = fields.List(fields.String())
    function = fields.String()
    app = fields.String()
    since = fields.String()
    until = fields.String()
    event = fields.String()
    text = fields.String()
    cel = fields.String()
    error = fields.String()
    key = fields.List(fields.String(), metadata={"description": "name:value of a search key"})
    events = fields.List(fields.String(), metadata={"description": "for replay_events"})


class _Page(TypedDict, total=False):
    cursor: str
    limit: int
    state: list[str]
    outcome: str
    status: str


def _shape(row: RowMapping) -> JsonObject:
    """Shape an operation for the API."""
    same = ("id", "kind", "name", "rate", "state", "reason", "note", "total", "total_exact")
    return {name: row[name] for name in same} | {
        "selection": canonical.loads(row["selection"]),
        "done": row["succeeded"] + row["skipped"] + row["failed"],
        **{name: row[name] for name in ("succeeded", "skipped", "failed", "begun_by")},
        "created_at": shapes.stamp(row["created_at"]),
        "ended_at": shapes.stamp(row["ended_at"]),
    }


def _one(operation_id: str) -> Response:
    ids.check_ulid(operation_id, "an operation's id", "id")
    with context().db.reading() as tx:
        row = operation_list.get(tx, operation_id)
        if row is None:
            raise NotFound(f"operation {operation_id} does not exist")
        statuses = operation_list.statuses(tx, operation_id)
        reasons = [dict(found) for found in operation_list.reasons(tx, operation_id)]
    return answer({"data": _shape(row) | {"runs": dict(statuses), "reasons": reasons}})


def _preview(asked: rules.Asked) -> Response:
    found = manage.preview(context(), asked)
    shown = {
        "name": found.name,
        "total": found.counted.total,
        "total_exact": found.counted.exact,
        "functions": {slug: number for slug, number in found.counted.by_function.items() if slug},
        "note": found.note,
    }
    return answer({"data": shown})


def begin(body: JsonObject) -> Response:
    """Begin an operation: rerun or cancel runs, or replay events, in the background.

    It works on what is there now. With `dry_run` it is only counted, and answered with 200.
    """
    asked = rules.parse(body, context().now())
    if asked.dry_run:
        return _preview(asked)
    found = _one(manage.begin(context(), asked, actor()))
    found.status_code = 201
    return found


def rerun_error(body: JsonObject, error_id: str) -> Response:
    """Run all runs of an error group again that are still failed: begin an operation for it."""
    asked = body | {"kind": Kind.RERUN.value, "selection": {"error": error_id}}
    made = manage.begin(context(), rules.parse(asked, context().now()), actor())
    found = answer({"data": {"id": made}})
    found.status_code = 201
    return found


def preview(query: JsonObject) -> Response:
    """Count what an operation on runs, or a replay of events, would do; change nothing."""
    kind, keys = query.pop("kind"), query.pop("key", None)
    if isinstance(keys, list):
        query["keys"] = by_name(pairs_of(keys, []))
    return _preview(rules.parse({"kind": kind, "selection": query}, context().now()))


def list_operations(query: _Page) -> Response:
    """List operations, newest first."""
    after = operation_list.NEWEST.position_of(query.get("cursor"))
    with context().db.reading() as tx:
        found = operation_list.page(
            tx, first=query["limit"], after=after, states=query.get("state", ())
        )
    rows = [_shape(row) for row in found.rows]
    return answer({"data": rows, "cursor": found.next, "has_more": found.more})


def show(operation_id: str) -> Response:
    """Show an operation: how far it is, and what has become of the runs that it made.

    `runs` and `reasons` count its last 10,000 items.
    """
    return _one(operation_id)


def results(query: _Page, operation_id: str) -> Response:
    """List what became of each run or event of an operation."""
    ids.check_ulid(operation_id, "an operation's id", "id")
    after = operation_list.RESULTS.position_of(query.get("cursor"))
    with context().db.reading() as tx:
        if operation_list.get(tx, operation_id) is None:
            raise NotFound(f"operation {operation_id} does not exist")
        found = operation_list.results(
            tx,
            operation_id,
            first=query["limit"],
            after=after,
            outcome=query.get("outcome"),
            status=query.get("status"),
        )
    same = ("id", "outcome", "reason", "was", "run_id", "status", "phase")
    rows = [
        {
            **{name: row[name] for name in same},
            "function": row["function_slug"],
            "at": shapes.stamp(row["at"]),
        }
        for row in found.rows
    ]
    return answer({"data": rows, "cursor": found.next, "has_more": found.more})


def change(body: JsonObject, operation_id: str) -> Response:
    """Pause, resume or cancel an operation, or set its rate.

    What it has done stays. It stops within a second.
    """
    ids.check_ulid(operation_id, "an operation's id", "id")
    manage.change(context(), operation_id, rules.parse_change(body), actor())
    return _one(operation_id)


def _documented(routes: Blueprint, view: Callable[..., Response], *codes: int) -> object:
    for code in codes:
        view = routes.alt_response(code, schema=openapi.Problem)(view)
    return view


def _add_to(routes: Blueprint) -> None:
    """Add the routes to a blueprint."""
    of_one = "/operations/<operation_id>"
    view = routes.alt_response(200, schema=PreviewAnswer)(_documented(routes, begin, 400, 404))
    view = routes.response(201, OperationAnswer)(view)
    routes.post("/operations")(routes.arguments(OperationBody)(view))
    view = routes.response(201, BegunAnswer)(_documented(routes, rerun_error, 400, 404))
    routes.post("/errors/<error_id>/rerun")(routes.arguments(RerunBody)(view))
    view = routes.response(200, PreviewAnswer)(_documented(routes, preview, 400, 404))
    query = routes.arguments(PreviewQuery, location="query")
    routes.get("/operations/preview")(query(view))
    view = routes.response(200, OperationList)(_documented(routes, list_operations, 400))
    query = routes.arguments(OperationsQuery, location="query")
    routes.get("/operations")(query(view))
    routes.get(of_one)(routes.response(200, OperationAnswer)(_documented(routes, show, 400, 404)))
    view = routes.response(200, ResultList)(_documented(routes, results, 400, 404))
    query = routes.arguments(ResultsQuery, location="query")
    routes.get(f"{of_one}/results")(query(view))
    view = routes.response(200, OperationAnswer)(_documented(routes, change, 400, 404, 409))
    routes.patch(of_one)(routes.arguments(ChangeBody)(view))


for _routes in (native, blueprint):
    _add_to(_routes)
