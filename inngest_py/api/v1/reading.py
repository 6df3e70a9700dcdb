"""Read events, runs and functions, for SDKs and their tests (protocol: api.md §2)."""

from datetime import UTC, datetime, timedelta

from flask import Response, request

from ...engine.work.end_run import cancel as cancel_run
from ...storage.queries import (
    app_list,
    event_list,
    event_lookups,
    function_list,
    run_list,
    run_lookups,
    timeline_rows,
    timelines,
)
from ...storage.queries.event_list import NEWEST, WITH_PAYLOAD, EventQuery
from ...storage.queries.run_columns import WITH_OUTPUT
from .. import shapes
from ..actors import actor
from ..deps import context
from ..errors import answer, public_error
from .common import blueprint, enveloped, limit, moment, ulid

_MOST_EVENTS = 51


@blueprint.get("/events")
def list_events() -> Response:
    """List events that users sent, newest first."""
    after, first = NEWEST.position_of(request.args.get("cursor")), limit(20, _MOST_EVENTS)
    name = request.args.get("name")
    wanted = EventQuery(
        names=[name] if name else None,
        since=moment("received_after"),
        until=_past(moment("received_before")),
    )
    with context().db.reading() as tx:
        found = event_list.page(tx, wanted, first=first, after=after, columns=WITH_PAYLOAD)
    return enveloped([shapes.event(row) for row in found.rows])


def _past(bound: datetime | None) -> datetime | None:
    """Return the first time after a bound that is included; None is no bound."""
    if bound is None or bound == datetime.max.replace(tzinfo=UTC):
        return None
    return bound + timedelta(microseconds=1)


@blueprint.get("/events/<event_id>")
def show_event(event_id: str) -> Response:
    """Show an event, internal ones too."""
    with context().db.reading() as tx:
        row = event_lookups.get(tx, ulid(event_id, "event"))
    if row is None:
        return public_error("Event not found", 404)
    return enveloped(shapes.event(row))


@blueprint.get("/events/<event_id>/runs")
def list_runs(event_id: str) -> Response:
    """List the runs that an event started."""
    with context().db.reading() as tx:
        found = run_list.of_event(tx, ulid(event_id, "event"), WITH_OUTPUT)
    return enveloped([shapes.run(row) for row in found])


@blueprint.get("/runs/<run_id>")
def show_run(run_id: str) -> Response:
    """Show a run."""
    with context().db.reading() as tx:
        row = run_lookups.get(tx, ulid(run_id, "run"), WITH_OUTPUT)
    if row is None:
        return public_error(f"Unable to load function run: {run_id}", 404)
    return enveloped(shapes.run(row))


@blueprint.delete("/runs/<run_id>")
def cancel(run_id: str) -> Response:
    """Cancel a run; one that has ended stays as it is."""
    cancel_run(context(), ulid(run_id, "run"), actor())
    return Response(status=200)


@blueprint.get("/runs/<run_id>/jobs")
def list_jobs(run_id: str) -> Response:
    """List what is queued for a run."""
    with context().db.reading() as tx:
        found = run_lookups.function_of(tx, ulid(run_id, "run"))
        rows = timeline_rows.of_run(tx, run_id)
    if found is None:
        return public_error(f"Unable to load function run: {run_id}", 404)
    jobs = [shapes.job(item, timelines.task_of_item(item, rows)) for item in rows.queued]
    return enveloped(jobs)


@blueprint.get("/apps/<app_name>/functions")
def list_functions(app_name: str) -> Response:
    """List an app's functions, as a bare array."""
    with context().db.reading() as tx:
        app = app_list.by_name(tx, app_name)
        if app is None or app["archived_at"] is not None:
            return public_error("App not found", 404)
        found = function_list.every(tx, app_id=app["id"])
    return answer([shapes.function(row, context().now()) for row in found])
