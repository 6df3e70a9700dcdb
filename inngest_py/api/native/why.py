"""`GET /v1/runs/{id}/why` and `/v1/events/{id}/why`, and the same routes under /api/v1."""

from collections.abc import Mapping
from datetime import datetime

from flask import Blueprint, Response

from ...domain.reports.why import Reason
from ...domain.values import ids
from ...domain.values.json_types import JsonObject
from ...engine.admin import why_event, why_run_waits
from ...engine.admin.why_run_waits import Explained
from .. import shapes
from ..deps import context
from ..errors import answer
from . import openapi

blueprint = Blueprint("v1_why", __name__, url_prefix="/v1")
native = openapi.documented("why")


def _shape(found: Explained) -> JsonObject:
    return {
        "id": found.id,
        "status": found.status,
        "phase": found.phase,
        "reasons": [_reason(reason) for reason in found.reasons],
        "has_more": found.more,
    }


def _reason(reason: Reason) -> JsonObject:
    return {
        "kind": reason.kind,
        "text": reason.text,
        "since": shapes.stamp(reason.since),
        "until": shapes.stamp(reason.until),
        "details": _details(reason.details),
    }


def _details(details: Mapping[str, object]) -> JsonObject:
    return {
        name: shapes.stamp(value) if isinstance(value, datetime) else value
        for name, value in details.items()
    }


def _enveloped(found: Explained) -> Response:
    fetched = {"fetched_at": shapes.stamp(context().now())}
    return answer({"data": _shape(found), "metadata": fetched})


@blueprint.get("/runs/<run_id>/why")
def run(run_id: str) -> Response:
    """Say why a run waits."""
    return _enveloped(why_run_waits.of_run(context(), ids.check_ulid(run_id, "an id", "run")))


@blueprint.get("/events/<event_id>/why")
def event(event_id: str) -> Response:
    """Say what has become of an event."""
    return _enveloped(why_event.of_event(context(), ids.check_ulid(event_id, "an id", "event")))


@native.get("/runs/<run_id>/why")
@native.alt_response(400, schema=openapi.Problem)
@native.alt_response(404, schema=openapi.Problem)
@native.response(200, openapi.WhyAnswer)
def run_native(run_id: str) -> Response:
    """Say why a run waits, or what ended it: one reason for each of its branches."""
    return answer(
        {"data": _shape(why_run_waits.of_run(context(), ids.check_ulid(run_id, "an id", "run_id")))}
    )


@native.get("/events/<event_id>/why")
@native.alt_response(400, schema=openapi.Problem)
@native.alt_response(404, schema=openapi.Problem)
@native.response(200, openapi.WhyAnswer)
def event_native(event_id: str) -> Response:
    """Say what has become of an event: the runs that it started, and where it is parked."""
    return answer(
        {
            "data": _shape(
                why_event.of_event(context(), ids.check_ulid(event_id, "an id", "event_id"))
            )
        }
    )
