"""`/api/v1`: the server's own REST API, with its OpenAPI document and a page to try it.

`GET /api/openapi.json`, `GET /api/docs`.
"""

from flask import Flask, Response, request, send_from_directory
from flask.views import MethodView
from flask_smorest import Api
from marshmallow import Schema, fields
from sqlalchemy import RowMapping
from swagger_ui_bundle import swagger_ui_path

from ...domain.functions.registration import parse_function
from ...domain.reply import answer_headers
from ...domain.reports.timeline import SpanTask
from ...domain.runs import made_by
from ...domain.values import canonical, ids
from ...domain.values.json_types import JsonObject
from ...engine.apps import register
from ...engine.intake import publish
from ...engine.work.end_run import cancel as cancel_run
from ...storage.queries import (
    event_lookups,
    function_list,
    run_lookups,
    timeline_rows,
    timelines,
)
from ...storage.queries.errors import run_errors
from ...storage.queries.operations import operation_list
from .. import shapes
from ..actors import actor
from ..deps import context
from ..errors import answer, public_error
from ..protocol.events import parse_body
from . import openapi
from .searching.runs import SUMMARY, summary

blueprint = openapi.documented("native")


def add_to(app: Flask, api: Api) -> None:
    """Register the routes and the documentation's page on the API's app."""
    api.register_blueprint(blueprint)

    @app.get("/api/docs-files/<path:name>")
    def docs_files(name: str) -> Response:
        return send_from_directory(swagger_ui_path, name)


@blueprint.route("/functions")
class Functions(MethodView):
    """Functions, registered by SDKs or here."""

    @blueprint.doc(summary="List functions")
    @blueprint.response(200, openapi.FunctionList)
    def get(self) -> Response:
        """List every function, archived ones too."""
        with context().db.reading() as tx:
            found = function_list.every(tx)
        now = context().now()
        return answer({"data": [shapes.function(row, now) for row in found]})

    @blueprint.arguments(openapi.FunctionBody)
    @blueprint.alt_response(400, schema=openapi.Problem)
    @blueprint.response(200, openapi.FunctionAnswer)
    def post(self, body: JsonObject) -> Response:
        """Register a function served by any HTTP endpoint that speaks the protocol."""
        sync = parse_function(body)
        function_id = register.register_one(context(), sync)
        return answer({"data": {"id": function_id, "slug": sync.functions[0].slug}})


@blueprint.post("/events")
@blueprint.doc(requestBody=openapi.EVENTS_BODY)
@blueprint.alt_response(400, schema=openapi.Problem)
@blueprint.response(200, openapi.EventsAnswer)
def send_events() -> Response:
    """Send one event or an array of events.

    The body is `{"name": "shop/order", "data": {}}` or an array of such objects.
    """
    accepted, error = parse_body(
        request.get_data(cache=False), request.headers.get("x-inngest-event-id-seed")
    )
    if error is None and not accepted:
        error = "the body holds no event"
    by = actor()
    if by.claim and error is None:  # from our command line: only it names its user
        publish.send(context(), accepted, by)
    else:
        publish.accept(context(), accepted)
    found = [event.id for event in accepted]
    if error is not None:
        return public_error(error, 400, data={"ids": found})
    return answer({"data": {"ids": found}})


@blueprint.get("/runs/<run_id>")
@blueprint.alt_response(400, schema=openapi.Problem)
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.response(200, openapi.RunAnswer)
def show_run(run_id: str) -> Response:
    """Show a run with its event, steps, attempts and what is queued for it."""
    ids.check_ulid(run_id, "a run id", "run_id")
    with context().db.reading() as tx:
        row = run_lookups.get(tx, run_id, (*SUMMARY, "output"))
        if row is None:
            return public_error(f"run {run_id} does not exist", 404)
        event = event_lookups.get(tx, row["event_id"])
        stored = timeline_rows.steps_of(tx, run_id)
        timeline = timeline_rows.of_run(tx, run_id)
        again = operation_list.last_reruns(tx, [run_id])
        operation = operation_list.of_run(tx, run_id)
        error = run_errors.lines(tx, [row]).get(run_id)
    shown = summary(row, again.get(run_id), error) | {
        "operation": operation and {"id": operation["id"], "name": operation["name"]},
        "output": shapes.output(row),
        "event": shapes.event(event) if event is not None else None,
        "steps": [
            {
                "id": step["hash"],
                "name": step["name"],
                "op": step["op"],
                "output": canonical.loads(step["output"]),
                "stored_at": shapes.stamp(step["stored_at"]),
            }
            for step in stored
        ],
        "attempts": [
            _attempt(row, timelines.task_of_attempt(row, timeline)) for row in timeline.attempts
        ],
        "queued": [
            shapes.job(item, timelines.task_of_item(item, timeline)) for item in timeline.queued
        ],
    }
    return answer({"data": shown})


class CancelQuery(Schema):
    """How a run is cancelled."""

    terminate = fields.Boolean(
        load_default=False,
        metadata={
            "description": "kill Celery tasks that run; else only those that wait are dropped"
        },
    )


@blueprint.delete("/runs/<run_id>")
@blueprint.arguments(CancelQuery, location="query")
@blueprint.alt_response(400, schema=openapi.Problem)
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.response(200, openapi.CancelAnswer)
def cancel(query: dict[str, bool], run_id: str) -> Response:
    """Cancel a run; one that has ended stays as it is.

    Celery tasks of the run are revoked, with `terminate` also those that run already.
    """
    ids.check_ulid(run_id, "a run id", "run_id")
    before = cancel_run(context(), run_id, actor(), terminate=query["terminate"])
    return answer({"data": {"id": run_id, "was": before.value}})


def _attempt(row: RowMapping, task: SpanTask | None) -> JsonObject:
    """Shape an attempt; one of a Celery task has started when a worker began it."""
    started_at = row["started_at"] if task is None else task.started_at or row["started_at"]
    stored = canonical.loads(row["info"]) if row["info"] is not None and not task else None
    info, headers = answer_headers.apart(stored)
    return {
        "step": row["step"],
        "name": row["name"],
        "op": row["op"],
        "attempt": row["attempt"],
        "status": row["status"],
        "queued_at": shapes.stamp(row["queued_at"]),
        "started_at": shapes.stamp(started_at),
        "ended_at": shapes.stamp(row["ended_at"]),
        "http_status": row["http_status"],
        "worker": made_by.shown(row["worker"]),
        "error": canonical.loads(row["error"]) if row["error"] is not None else None,
        "info": info,
        "answer_headers": headers,
        "task": shapes.task(task),
    }
