"""`/v1/event-types`: the names of stored events, and the same routes under /api/v1."""

from datetime import UTC, datetime, timedelta
from typing import TypedDict

from flask import Blueprint, Response
from marshmallow import fields, validate
from sqlalchemy import Connection

from ...domain.errors import NotFound
from ...domain.events import payload_schema
from ...domain.values import canonical, ids
from ...domain.values.json_types import JsonObject
from ...storage.queries.reports import event_names, last_events
from ...storage.queries.reports.event_names import EventName
from .. import shapes
from ..deps import context
from ..errors import answer
from . import openapi

blueprint = Blueprint("v1_event_types", __name__, url_prefix="/v1/event-types")
native = openapi.documented("event types")
_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Wanted(TypedDict, total=False):
    """The query of the list, as EventTypesQuery reads it."""

    internal: bool
    order: str
    cursor: str
    limit: int


class EventTypesQuery(openapi.Body):
    """Which event types to list."""

    internal = fields.Boolean(
        load_default=False, metadata={"description": "also those of the server's own events"}
    )
    order = fields.String(
        load_default=event_names.LAST_SEEN,
        validate=validate.OneOf(tuple(event_names.ORDERS)),
        metadata={
            "description": "by the last event, newest first, of the first 1,000 names of the "
            "alphabet; or by name, all of them"
        },
    )
    cursor = fields.String(metadata={"description": "of the page before, in the same order"})
    limit = fields.Integer(load_default=50, validate=validate.Range(1, 200))


class EventTypeSummary(openapi.Body):
    """A name of stored events."""

    name = fields.String(required=True)
    events_24h = fields.Integer(
        required=True, metadata={"description": "how many came in 24 hours, 10,000 at most"}
    )
    last_event_id = fields.String(required=True)
    last_seen = fields.String(required=True)
    functions = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "slugs of the functions that it may start"},
    )


class EventTypeList(openapi.Body):
    """A page of event types."""

    data = fields.List(fields.Nested(EventTypeSummary), required=True)
    cursor = fields.String(
        required=True, allow_none=True, metadata={"description": "of the next page"}
    )
    has_more = fields.Boolean(
        required=True, metadata={"description": "whether there is a next page"}
    )
    is_complete = fields.Boolean(
        required=True,
        metadata={"description": "false if this order leaves names out: list them by name"},
    )


class SchemaFieldShown(openapi.Body):
    """A field of the events' data."""

    path = fields.String(required=True, metadata={"example": "order.items[].sku"})
    types = fields.List(fields.String(), required=True)
    optional = fields.Boolean(required=True)
    samples = fields.List(
        fields.String(), required=True, metadata={"description": "values as JSON, cut off"}
    )


class EventTypeShown(EventTypeSummary):
    """An event type with its last payload and the schema that its last events have in common."""

    fields_of_data = fields.List(
        fields.Nested(SchemaFieldShown), required=True, data_key="fields", attribute="fields"
    )
    inferred_from = fields.Integer(
        required=True, metadata={"description": "how many events the fields are inferred from"}
    )
    last_payload = fields.Dict(
        required=True,
        allow_none=True,
        metadata={"description": "null if it has more than 64 KiB: read it by its id"},
    )


class EventTypeAnswer(openapi.Body):
    """One event type."""

    data = fields.Nested(EventTypeShown, required=True)


def _listed(wanted: _Wanted) -> Response:
    read = event_names.ORDERS[wanted["order"]]
    with context().db.reading() as tx:
        found = read(tx, wanted.get("cursor"), wanted["limit"], internal=wanted["internal"])
        rows = _summaries(tx, found.names)
    more = found.cursor is not None
    about = {"cursor": found.cursor, "has_more": more, "is_complete": not found.more}
    return answer({"data": rows} | about)


def _summaries(tx: Connection, shown: list[EventName]) -> list[JsonObject]:
    names = [one.name for one in shown]
    counted = event_names.counts(tx, names, ids.lowest_ulid(context().now() - _DAY))
    functions = event_names.triggered(tx, names)
    return [
        {
            "name": one.name,
            "events_24h": counted[one.name],
            "last_event_id": one.last_id,
            "last_seen": shapes.stamp(_EPOCH + timedelta(milliseconds=ids.ulid_ms(one.last_id))),
            "functions": [row["slug"] for row in functions[one.name]],
        }
        for one in shown
    ]


def _shown(name: str) -> Response:
    most = last_events.MOST_READ
    with context().db.reading() as tx:
        last = last_events.of_name(tx, name, most, last_events.LOOKED_AT)
        if not last:
            raise NotFound("no event of this name is stored: none came, or it was deleted")
        [summary] = _summaries(tx, [EventName(name, last[0]["id"])])
    payloads = [canonical.loads(row["payload"]) for row in last if row["size"] <= most]
    schema = payload_schema.infer([payload.get("data", {}) for payload in payloads])
    shown = [
        {
            "path": one.path,
            "types": list(one.types),
            "optional": one.is_optional,
            "samples": list(one.samples),
        }
        for one in schema.fields
    ]
    newest = payloads[0] if last[0]["size"] <= most else None
    more = {"fields": shown, "inferred_from": schema.payloads, "last_payload": newest}
    return answer({"data": summary | more})


@blueprint.get("")
@openapi.PARSER.use_args(EventTypesQuery, location="query")
def list_event_types(query: _Wanted) -> Response:
    """List event types."""
    return _listed(query)


@blueprint.get("/<path:name>")
def show_event_type(name: str) -> Response:
    """Show an event type."""
    return _shown(name)


@native.get("/event-types")
@native.arguments(EventTypesQuery, location="query")
@native.alt_response(400, schema=openapi.Problem)
@native.response(200, EventTypeList)
def list_native(query: _Wanted) -> Response:
    """List the names of stored events, page by page."""
    return _listed(query)


@native.get("/event-types/<path:name>")
@native.alt_response(404, schema=openapi.Problem)
@native.response(200, EventTypeAnswer)
def show_native(name: str) -> Response:
    """Show an event type with its last payload and a schema inferred from its last events."""
    return _shown(name)
