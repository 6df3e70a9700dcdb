"""The page of events with its search, and the form that sends an event."""

from collections.abc import Mapping

from flask import Response, request
from sqlalchemy import RowMapping
from werkzeug.wrappers import Response as AnyResponse

from ...domain.access.roles import Role
from ...domain.errors import Invalid
from ...domain.events import filters
from ...domain.events.user_events import parse_event
from ...domain.values import canonical, ids
from ...engine.intake.publish import send
from ...storage.queries import event_list, event_lookups, run_list
from ...storage.queries.event_list import EventQuery
from ...storage.queries.paging import Page, Position, Window
from ...storage.queries.reports import event_names
from ..deps import context, read, read_with
from ..parts import choices, lists
from ..parts.form_errors import wrong_fields
from ..parts.notices import leave
from ..parts.words import pretty
from ..rendering import page, url
from ..routes import route
from .audit import actor
from .event_types.views import last_payload

_MOST_FORM = 1_000_000
_MOST_SUGGESTED = 200
_FIELDS = ("name", "data", "user", "id")
_EMPTY = "{\n  \n}"
_FILTERS = ("name", "since", "q", "cel")


@route("/events", Role.VIEWER)
def events() -> Response:
    """List events, newest first, with the runs that they started."""
    ctx = context()
    found, problem, status, wrong = Page(event_list.NEWEST), None, 200, {}
    try:
        found = _page(request.args)
    except Invalid as error:
        problem, status, wrong = error.message, 400, wrong_fields(error, _FILTERS)
    runs = read_with(ctx, lambda tx: run_list.of_events(tx, [row["id"] for row in found.rows]))
    further = lists.further(found, request.args)
    following = choices.query_string(request.args, before=found.next) if found.next else None
    return page(
        "events.html",
        status,
        found=found,
        runs=runs,
        given=request.args,
        since=choices.SINCE,
        following=following,
        further=further,
        filtered=bool(choices.query_string(request.args, before=None)),
        first=not request.args.get("before"),
        filters=choices.query_string(request.args, before=None),
        problem=problem,
        wrong=wrong,
    )


def _page(given: Mapping[str, str]) -> Page:
    ctx = context()
    now = ctx.now()
    span = choices.span(given, now)
    wanted = choices.cel(given, filters.EVENT)
    by_value = wanted is not None and not wanted.exact
    name, prefix = choices.name_or_prefix(given, "name")
    search = EventQuery(
        names=[name] if name else None,
        internal=given.get("internal") == "1",
        conditions=wanted.conditions if wanted is not None else (),
        text=choices.text(given, "q") or None,
        prefix=prefix,
        from_id=span.from_id,
    )

    def fetch(after: Position | None, limit: int) -> Window:
        return read_with(
            ctx,
            lambda tx: event_list.look(tx, search, limit=limit, after=after, values=by_value),
        )

    def fits(row: RowMapping) -> bool:
        if wanted is None or wanted.exact:
            return True
        return wanted.matches({"event": canonical.loads(row["payload"])}, now)

    searching = search.text is not None or search.prefix is not None or by_value
    chosen = fits if searching else None
    return lists.page(fetch, event_list.NEWEST, after=span.after, fits=chosen)


@route("/events/send", Role.OPERATOR)
def event_form() -> Response:
    """Show the form that sends an event.

    `like` fills it with an earlier event, `name` with the last one of that name.
    """
    source, name = request.args.get("like"), choices.text(request.args, "name")
    filled, last = {"name": name, "data": _EMPTY, "user": "", "id": ""}, None
    if source:
        found = read(lambda tx: event_lookups.head(tx, _ulid(source), _MOST_FORM))
        if found is None or found["size"] > _MOST_FORM:
            raise Invalid("the event is gone, or too large for a form: send it by API")
        payload = canonical.loads(found["payload"])
        filled["name"] = payload["name"]
        filled["data"] = _indented(payload.get("data", {}))
        filled["user"] = _indented(payload["user"]) if payload.get("user") else ""
    elif name:
        last = read(lambda tx: last_payload(tx, name))
        if last is not None:
            filled |= {"data": last["data"], "user": last["user"]}
    return _form(filled, {}, filled_from=None if last is None else last["id"])


def _form(
    filled: Mapping[str, str],
    wrong: Mapping[str, str],
    status: int = 200,
    *,
    filled_from: str | None = None,
    problem: str | None = None,
) -> Response:
    """Show the form, which suggests the names that came last; `wrong` tells errors by field."""
    names, _ = read(event_names.every)
    return page(
        "event_form.html",
        status,
        filled=filled,
        wrong=wrong,
        names=[one.name for one in names[:_MOST_SUGGESTED]],
        filled_from=filled_from,
        problem=problem,
    )


@route("/events/send", Role.OPERATOR, methods=("POST",))
def event_send() -> AnyResponse:
    """Store an event with the runs that it starts."""
    ctx = context()
    filled = {name: request.form.get(name, "") for name in _FIELDS}
    try:
        payload: dict[str, object] = {"name": filled["name"].strip()}
        for name in ("data", "user"):
            if filled[name].strip():
                payload[name] = _json(filled[name], name)
        if filled["id"].strip():
            payload["id"] = filled["id"].strip()
        now = ctx.now()
        size = len(canonical.dumps(payload))
        event = parse_event(payload, size, int(now.timestamp() * 1000), ctx.new_id(now))
        send(ctx, [event], actor())
    except Invalid as error:
        if error.field in _FIELDS:
            return _form(filled, {error.field: error.message}, 400)
        return _form(filled, {}, 400, problem=error.message)
    return leave(url("event", event_id=event.id), "sent")


def _json(text: str, name: str) -> object:
    try:
        return canonical.loads(text)
    except Invalid as error:
        raise Invalid(f"{name} {canonical.told(error)}", field=name) from None


def _indented(value: object) -> str:
    return pretty(canonical.dumps(value).decode())


def _ulid(text: str) -> str:
    return ids.check_ulid(text, "an event id")
