"""`GET /v1/functions/{id}/history`, and the same route under /api/v1.

The id is the function's UUID or slug.
"""

from datetime import datetime
from typing import TypedDict

from flask import Response
from marshmallow import fields, validate

from ...domain.errors import NotFound
from ...domain.reports import roll_ups
from ...domain.reports.roll_ups import Figures, Histogram
from ...domain.values.json_types import JsonObject
from ...storage.queries import function_list, run_detail
from ...storage.queries.reports import function_figures
from .. import shapes
from ..deps import context
from ..errors import answer
from . import openapi

native = openapi.documented("function history")
blueprint = openapi.documented("v1_function_history", prefix="/v1")
_NEWEST = 100


class _Wanted(TypedDict):
    """The query, as HistoryQuery reads it."""

    span: str


class HistoryQuery(openapi.Body):
    """Which history to show: 24 hours by hour, or 7 days by six hours."""

    span = fields.String(load_default="24h", validate=validate.OneOf(list(roll_ups.SPANS)))


class TimesShown(openapi.Body):
    """Percentiles of durations in milliseconds, at most 5 % off; null without any."""

    p50 = fields.Float(required=True, allow_none=True)
    p95 = fields.Float(required=True, allow_none=True)


class FiguresShown(openapi.Body):
    """What the runs of a span come to; they count in the hours in which they began and ended."""

    since = fields.String(required=True, metadata={"format": "date-time"})
    begun = fields.Integer(required=True)
    completed = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    cancelled = fields.Integer(required=True)
    failure_rate = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "of those that were not cancelled; null without any"},
    )
    run_ms = fields.Nested(TimesShown, required=True)
    queue_ms = fields.Nested(TimesShown, required=True)


class HistoryShown(openapi.Body):
    """A function's history."""

    function = fields.String(required=True, metadata={"description": "the slug"})
    function_id = fields.String(required=True)
    span = fields.String(required=True)
    counted_to = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "up to when runs are counted; null if all are"},
    )
    outcomes = fields.Dict(
        required=True,
        metadata={"description": "how many of the newest 100 runs have each status"},
    )
    total = fields.Nested(FiguresShown, required=True)
    parts = fields.List(fields.Nested(FiguresShown), required=True)


class HistoryAnswer(openapi.Body):
    """A function's history."""

    data = fields.Nested(HistoryShown, required=True)


def _shown(function: str, word: str) -> Response:
    now = context().now()
    with context().db.reading() as tx:
        row = function_list.get(tx, function) or function_list.by_slug(tx, function)
        if row is None:
            raise NotFound(f"function {function[:255]} does not exist")
        found = function_figures.of_span(tx, row["id"], roll_ups.SPANS[word], now)
        outcomes = run_detail.last_outcomes(tx, [row["id"]], _NEWEST)[row["id"]]
    shown = {
        "function": row["slug"],
        "function_id": row["id"],
        "span": word,
        "counted_to": shapes.stamp(found.counted_to),
        "outcomes": outcomes,
        "total": figures(found.total.start, found.total.figures),
        "parts": [figures(part.start, part.figures) for part in found.parts],
    }
    return answer({"data": shown})


def figures(since: datetime, counted: Figures) -> JsonObject:
    """Shape the figures of a span."""
    names = ("begun", "completed", "failed", "cancelled", "failure_rate")
    return {
        "since": shapes.stamp(since),
        **{name: getattr(counted, name) for name in names},
        "run_ms": _times(counted.run_ms),
        "queue_ms": _times(counted.queue_ms),
    }


def _times(counted: Histogram) -> JsonObject:
    return dict(zip(("p50", "p95"), counted.median_and_p95, strict=True))


@native.get("/functions/<path:function>/history")
@native.arguments(HistoryQuery, location="query")
@native.alt_response(400, schema=openapi.Problem)
@native.alt_response(404, schema=openapi.Problem)
@native.response(200, HistoryAnswer)
def show_native(query: _Wanted, function: str) -> Response:
    """Show what a function's runs of 24 hours or 7 days come to."""
    return _shown(function, query["span"])


@blueprint.get("/functions/<path:function>/history")
@blueprint.arguments(HistoryQuery, location="query")
@blueprint.alt_response(400, schema=openapi.Problem)
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.response(200, HistoryAnswer)
def show(query: _Wanted, function: str) -> Response:
    """Show what a function's runs of 24 hours or 7 days come to."""
    return _shown(function, query["span"])
