"""The list of event types, one of them, and the last payload of a name for the form that sends."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import Response, jsonify, request
from sqlalchemy import Connection, RowMapping
from werkzeug.wrappers import Response as AnyResponse

from ....domain.access.roles import Role
from ....domain.errors import Invalid, NotFound
from ....domain.events import payload_schema
from ....domain.events.user_events import RESERVED
from ....domain.values import canonical, ids
from ....storage.queries.reports import event_names, last_events
from ....storage.queries.reports.event_names import EventNames
from ...deps import context, read
from ...parts import choices, words
from ...rendering import page, url
from ...routes import route
from ...run_page.values import Value

_PAGE = 50
_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_READ = last_events.MOST_READ


@dataclass(frozen=True, slots=True)
class EventType:
    """A row of the list; `events` is how many came in a day, up to a bound."""

    name: str
    last_id: str
    last_at: datetime
    events: int
    functions: list[RowMapping]


@route("/events/types", Role.VIEWER)
def event_types() -> Response:
    """List the names of stored events: the last seen first, or by the alphabet."""
    given = request.args
    order = choices.text(given, "order") or event_names.LAST_SEEN
    if order not in event_names.ORDERS:
        raise Invalid(f"order must be one of {', '.join(event_names.ORDERS)}", field="order")
    wanted, internal = choices.text(given, "q").lower(), given.get("internal") == "1"
    since = ids.lowest_ulid(context().now() - _DAY)

    def load(tx: Connection) -> tuple[list[EventType], EventNames]:
        cursor, pick = given.get("cursor"), event_names.ORDERS[order]
        found = pick(tx, cursor, _PAGE, internal=internal, wanted=wanted)
        names = [one.name for one in found.names]
        counted = event_names.counts(tx, names, since)
        functions = event_names.triggered(tx, names)
        rows = [
            EventType(
                one.name, one.last_id, _at(one.last_id), counted[one.name], functions[one.name]
            )
            for one in found.names
        ]
        return rows, found

    rows, found = read(load)
    return page(
        "event_types.html",
        rows=rows,
        found=found,
        order=order,
        given=given,
        query={"q": given.get("q") or None, "internal": given.get("internal")},
        most=event_names.MOST_COUNTED,
        most_names=event_names.MOST_NAMES,
    )


def _at(event_id: str) -> datetime:
    """Return the time in an event's id."""
    return _EPOCH + timedelta(milliseconds=ids.ulid_ms(event_id))


@route("/events/type", Role.VIEWER)
def event_type() -> Response:
    """Show an event type: its functions, its last payload and what its payloads have in common."""
    name = choices.text(request.args, "name")
    since = ids.lowest_ulid(context().now() - _DAY)

    def load(tx: Connection) -> tuple[list[RowMapping], int, list[RowMapping]]:
        last = last_events.of_name(tx, name, _MOST_READ, last_events.LOOKED_AT)
        if not last:
            raise NotFound(f"no event named {name[:200]!r} is stored: none came, or it was deleted")
        events = event_names.counts(tx, [name], since)[name]
        return last, events, event_names.triggered(tx, [name])[name]

    last, events, functions = read(load)
    read_whole = [row for row in last if row["size"] <= _MOST_READ]
    data = [canonical.loads(row["payload"]).get("data", {}) for row in read_whole]
    newest = last[0]
    text = newest["payload"][: words.MOST_SHOWN]
    value = Value(
        "Last payload",
        words.pretty(text) if newest["size"] <= words.MOST_SHOWN else text,
        newest["size"],
        url("event_raw", event_id=newest["id"]),
    )
    return page(
        "event_type.html",
        name=name,
        events=events,
        functions=functions,
        newest=newest,
        value=value,
        schema=payload_schema.infer(data),
        too_large=len(last) - len(read_whole),
        most=event_names.MOST_COUNTED,
        is_own=name.lower().startswith(RESERVED),
    )


@route("/events/last", Role.OPERATOR)
def event_last() -> AnyResponse:
    """Answer with data and user of the last event of a name, as the form shows them.

    204 if there is none, or it is too large for the form.
    """
    filled = read(lambda tx: last_payload(tx, choices.text(request.args, "name")))
    return Response(status=204) if filled is None else jsonify(filled)


def last_payload(tx: Connection, name: str) -> dict[str, str] | None:
    """Return data and user of the last event of a name, indented; None without a small one."""
    last = last_events.of_name(tx, name, _MOST_READ, 1)
    if not last or last[0]["size"] > _MOST_READ:
        return None
    payload = canonical.loads(last[0]["payload"])
    user = payload.get("user")
    return {
        "id": last[0]["id"],
        "data": words.pretty(canonical.dumps(payload.get("data", {})).decode()),
        "user": words.pretty(canonical.dumps(user).decode()) if user else "",
    }
