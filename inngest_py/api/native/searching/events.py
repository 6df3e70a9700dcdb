"""`GET /api/v1/events`: the list of events, with the filters of the dashboard's.

`GET /v1/events` is the protocol's: it has the times and the name alone.
"""

from datetime import datetime
from typing import TypedDict

from flask import Response
from marshmallow import Schema, fields, validate
from sqlalchemy import RowMapping

from ....domain.events import filters
from ....domain.operations import selections
from ....domain.values import canonical, ids
from ....domain.values.json_fields import JsonFields
from ....domain.values.json_types import JsonObject
from ....storage.queries import event_list, paging
from ....storage.queries.event_list import NEWEST, WITH_PAYLOAD, EventQuery
from ....storage.queries.paging import Fits, Position, Window
from ... import shapes
from ...deps import context
from ...errors import answer
from .. import openapi
from . import pages

native = openapi.documented("event_list")
_MOST = 100
_BY_TEXT = ("name", "text", "cel")


class EventsQuery(Schema):
    """Which events to list."""

    name = fields.String(metadata={"description": "a name, or what it begins with, as in shop/*"})
    since = openapi.Moment(metadata={"description": "from this time on"})
    until = openapi.Moment(metadata={"description": "before this time"})
    text = fields.String(metadata={"description": "the event contains it"})
    cel = fields.String(metadata={"description": "an expression over event"})
    internal = fields.Boolean(
        load_default=False, metadata={"description": "also the server's own events"}
    )
    cursor = fields.String(metadata={"description": "the last answer's `cursor`"})
    limit = fields.Integer(load_default=20, validate=validate.Range(1, _MOST))


class EventList(Schema):
    """A page of events; `cursor` asks for the next one."""

    data = fields.List(fields.Nested(openapi.EventShown), required=True)
    cursor = fields.String(required=True, allow_none=True)
    has_more = fields.Boolean(required=True)
    stopped = pages.stopped()


class EventsArguments(TypedDict, total=False):
    """The query of a list of events, as EventsQuery reads it."""

    name: str
    since: datetime
    until: datetime
    text: str
    cel: str
    internal: bool
    cursor: str
    limit: int


@native.get("/events")
@native.arguments(EventsQuery, location="query")
@native.alt_response(400, schema=openapi.Problem)
@native.response(200, EventList)
def list_events(query: EventsArguments) -> Response:
    """List events, newest first, by filters that all have to hold.

    A search by text, by a part of the name or by an expression may end before the page is full:
    then `stopped` is true, and `cursor` continues it.
    """
    given: JsonObject = {name: query[name] for name in _BY_TEXT if name in query}  # type: ignore[literal-required]
    read = JsonFields(given)
    name = selections.name_pattern(read, "name", read.text("name", selections.MOST_NAME))
    written = selections.expression(read, filters.EVENT)
    wanted = None if written is None else filters.parse(written, filters.EVENT)
    by_value = wanted is not None and not wanted.exact
    is_prefix = name is not None and name.endswith("*")
    since = query.get("since")
    search = EventQuery(
        names=None if name is None or is_prefix else [name],
        prefix=name[:-1] if name is not None and is_prefix else None,
        internal=query["internal"],
        conditions=() if wanted is None else wanted.conditions,
        text=selections.stored_text(read, "text", selections.MOST_TEXT),
        from_id=None if since is None else ids.lowest_ulid(since),
    )

    def fetch(after: Position | None, limit: int) -> Window:
        with context().db.reading() as tx:
            columns = WITH_PAYLOAD
            return event_list.look(
                tx, search, limit=limit, after=after, columns=columns, values=by_value
            )

    def fits(row: RowMapping) -> bool:
        if wanted is None or wanted.exact:
            return True
        return wanted.matches({"event": canonical.loads(row["payload"])}, context().now())

    searches = by_value or search.text is not None or search.prefix is not None
    found = _page(fetch, query, fits if searches else None)
    rows = [shapes.event(row) for row in found.rows]
    return answer(
        {"data": rows, "cursor": found.next, "has_more": found.more, "stopped": found.stopped}
    )


def _page(fetch: paging.Fetch, query: EventsArguments, fits: Fits | None) -> paging.Page:
    """Read a page after the cursor and before `until`, whichever comes first in the list."""
    after, until = NEWEST.position_of(query.get("cursor")), query.get("until")
    if until is not None:
        bound = ids.lowest_ulid(until)
        after = [bound if after is None else min(bound, str(after[0]))]
    return pages.read(fetch, NEWEST, first=query["limit"], after=after, fits=fits)
