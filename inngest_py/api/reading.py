"""`/v1`: events and runs as SDKs and their tests read them (protocol: api.md §2)."""

from datetime import datetime
from typing import Any

from flask import Blueprint, Response, request

from ..domain import ids, times
from ..domain.errors import Invalid
from ..engine.ending import cancel as cancel_run
from ..storage import events, functions, queue, runs
from . import auth, shapes
from .deps import context
from .errors import answer, public

blueprint = Blueprint("v1", __name__, url_prefix="/v1")
_MOST_EVENTS = 51


@blueprint.before_request
def _authenticate() -> Response | None:
    return auth.refuse_bearer()


def _enveloped(data: Any) -> Response:
    return answer({"data": data, "metadata": {"fetched_at": shapes.stamp(context().now())}})


def _ulid(text: str, what: str) -> str:
    if not ids.is_ulid(text):
        raise Invalid(f"{text[:64]!r} is not {what} id: a ULID has 26 characters", field=what)
    return text


def _limit(default: int, most: int) -> int:
    text = request.args.get("limit")
    if text is None:
        return default
    try:
        return max(1, min(int(text), most))
    except ValueError:
        raise Invalid("limit must be a whole number", field="limit") from None


def _time(name: str) -> datetime | None:
    text = request.args.get(name)
    if not text:
        return None
    try:
        return times.parse_time(text)
    except Invalid:
        raise Invalid(f"{name} must be an RFC 3339 time", field=name) from None


@blueprint.get("/events")
def list_events() -> Response:
    """List events that users sent, newest first."""
    cursor = request.args.get("cursor") or None
    if cursor is not None:
        _ulid(cursor, "cursor")
    with context().db.reading() as tx:
        found = events.page(
            tx,
            limit=_limit(20, _MOST_EVENTS),
            cursor=cursor,
            name=request.args.get("name") or None,
            after=_time("received_after"),
            before=_time("received_before"),
        )
    return _enveloped([shapes.event(row) for row in found])


@blueprint.get("/events/<event_id>")
def show_event(event_id: str) -> Response:
    """Show an event, internal ones too."""
    with context().db.reading() as tx:
        row = events.get(tx, _ulid(event_id, "event"))
    if row is None:
        return public("Event not found", 404)
    return _enveloped(shapes.event(row))


@blueprint.get("/events/<event_id>/runs")
def list_runs(event_id: str) -> Response:
    """List the runs that an event started."""
    with context().db.reading() as tx:
        found = runs.of_event(tx, _ulid(event_id, "event"))
    return _enveloped([shapes.run(row) for row in found])


@blueprint.get("/runs/<run_id>")
def show_run(run_id: str) -> Response:
    """Show a run."""
    with context().db.reading() as tx:
        row = runs.get(tx, _ulid(run_id, "run"))
    if row is None:
        return public(f"Unable to load function run: {run_id}", 404)
    return _enveloped(shapes.run(row))


@blueprint.delete("/runs/<run_id>")
def cancel(run_id: str) -> Response:
    """Cancel a run; one that has ended stays as it is."""
    cancel_run(context(), _ulid(run_id, "run"))
    return Response(status=200)


@blueprint.get("/runs/<run_id>/jobs")
def list_jobs(run_id: str) -> Response:
    """List what is queued for a run."""
    with context().db.reading() as tx:
        row = runs.get(tx, _ulid(run_id, "run"))
        jobs = queue.of_run(tx, run_id)
    if row is None:
        return public(f"Unable to load function run: {run_id}", 404)
    return _enveloped([shapes.job(job) for job in jobs])


@blueprint.get("/apps/<app_name>/functions")
def list_functions(app_name: str) -> Response:
    """List an app's functions, as a bare array."""
    with context().db.reading() as tx:
        app = functions.app_by_name(tx, app_name)
        found = functions.functions(tx, app_id=app["id"]) if app is not None else []
    if app is None:
        return public("App not found", 404)
    return answer([shapes.function(row) for row in found])
