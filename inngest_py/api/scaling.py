"""`GET /v1/scaling`: how many workers the backlog needs, for autoscalers and for people.

The same route is under /api/v1.
"""

from datetime import datetime, timedelta
from typing import TypedDict

from flask import Response
from marshmallow import fields, validate
from sqlalchemy import Connection

from ..domain.reports import scaling
from ..domain.reports.scaling import Advice, WorkLoad
from ..domain.values.json_types import JsonObject
from ..metrics.figures import MOST
from ..storage.queries import queue_stats, worker_list
from ..storage.queries.queue_stats import ItemsOfKind
from ..storage.queries.workers import slots
from .deps import context, deps
from .errors import answer
from .native import openapi

native = openapi.documented("scaling")
blueprint = openapi.documented("v1_scaling", prefix="/v1")
_MOST_SLOTS, _MOST_SECONDS = 100_000, 3600


class _Wanted(TypedDict):
    """The query, as ScalingQuery reads it."""

    within: int
    slots: int | None


class ScalingQuery(openapi.Body):
    """What the advice is for."""

    within = fields.Integer(
        load_default=scaling.WITHIN // timedelta(seconds=1),
        validate=validate.Range(1, _MOST_SECONDS),
        metadata={"description": "seconds that an item may wait for a worker"},
    )
    slots = fields.Integer(
        load_default=None,
        validate=validate.Range(1, _MOST_SLOTS),
        metadata={"description": "calls in flight of a worker; else the mean of those alive"},
    )


class QueueShown(openapi.Body):
    """What waits in a queue."""

    queue = fields.String(required=True)
    due = fields.Integer(required=True)
    oldest_seconds = fields.Float(required=True)
    in_flight = fields.Integer(required=True)


class ScalingShown(openapi.Body):
    """How many workers there should be, and from what that follows."""

    workers = fields.Integer(required=True, metadata={"description": "that there should be"})
    reason = fields.String(required=True)
    workers_alive = fields.Integer(required=True)
    slots_needed = fields.Integer(required=True)
    slots_per_worker = fields.Integer(required=True)
    slots_alive = fields.Integer(required=True)
    slots_busy = fields.Float(
        required=True, metadata={"description": "on average of the last minutes, or now if more"}
    )
    seconds_per_item = fields.Float(
        required=True, allow_none=True, metadata={"description": "null while nothing was measured"}
    )
    within_seconds = fields.Integer(required=True)
    due = fields.Integer(required=True)
    oldest_seconds = fields.Float(required=True)
    in_flight = fields.Integer(required=True)
    queues = fields.List(fields.Nested(QueueShown), required=True)


class ScalingAnswer(openapi.Body):
    """Advice about workers."""

    data = fields.Nested(ScalingShown, required=True)


def _shown(query: _Wanted) -> Response:
    now = context().now()
    with context().db.reading() as tx:
        due = queue_stats.due(tx, now, MOST)
        held = queue_stats.in_flight(tx, MOST)
        load = _load(tx, now, due, sum(held.values()))
    usual = round(load.slots / load.workers) if load.workers else deps().settings.concurrency
    each = query["slots"] or max(usual, 1)
    within = timedelta(seconds=query["within"])
    advice = scaling.advise(load, slots_per_worker=each, within=within)
    shown = _facts(load, advice)
    shown |= {"slots_per_worker": each, "within_seconds": query["within"]}
    shown["queues"] = _queues(due, held, now)
    return answer({"data": shown})


def _load(tx: Connection, now: datetime, due: list[ItemsOfKind], in_flight: int) -> WorkLoad:
    alive = worker_list.alive(tx, now)
    kept = slots.kept(tx, now)
    leased = queue_stats.leased_by_worker(tx)
    oldest = min((one.oldest for one in due if one.oldest is not None), default=None)
    count = sum(one.count for one in due)
    return WorkLoad(
        due=count,
        is_more=count >= MOST,
        oldest=None if oldest is None else max(now - oldest, timedelta(0)),
        in_flight=in_flight,
        per_item=kept.per_item,
        # an SDK's own calls and tasks that a Celery app has are leased by nobody of ours
        busy=max(kept.busy, sum(leased.get(row["id"], 0) for row in alive)),
        workers=len(alive),
        slots=sum(row["concurrency"] for row in alive),
    )


def _facts(load: WorkLoad, advice: Advice) -> JsonObject:
    each = load.per_item
    return {
        "workers": advice.workers,
        "reason": advice.reason,
        "workers_alive": load.workers,
        "slots_needed": advice.slots,
        "slots_alive": load.slots,
        "slots_busy": round(load.busy, 3),
        "seconds_per_item": None if each is None else round(each.total_seconds(), 6),
        "due": load.due,
        "oldest_seconds": 0.0 if load.oldest is None else round(load.oldest.total_seconds(), 3),
        "in_flight": load.in_flight,
    }


def _queues(due: list[ItemsOfKind], held: dict[str, int], now: datetime) -> list[JsonObject]:
    waits = {one.kind: one for one in due}
    return [
        {
            "queue": kind,
            "due": waits[kind].count if kind in waits else 0,
            "oldest_seconds": _age(waits.get(kind), now),
            "in_flight": held.get(kind, 0),
        }
        for kind in sorted({*waits, *held})
    ]


def _age(waits: ItemsOfKind | None, now: datetime) -> float:
    if waits is None or waits.oldest is None:
        return 0.0
    return round(max((now - waits.oldest).total_seconds(), 0.0), 3)


@native.get("/scaling")
@native.arguments(ScalingQuery, location="query")
@native.alt_response(400, schema=openapi.Problem)
@native.response(200, ScalingAnswer)
def show_native(query: _Wanted) -> Response:
    """Say how many workers the backlog needs, and why."""
    return _shown(query)


@blueprint.get("/scaling")
@blueprint.arguments(ScalingQuery, location="query")
@blueprint.alt_response(400, schema=openapi.Problem)
@blueprint.response(200, ScalingAnswer)
def show(query: _Wanted) -> Response:
    """Say how many workers the backlog needs, and why."""
    return _shown(query)
