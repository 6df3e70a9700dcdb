"""The pages of operations: the list, one with its progress, and what is asked before one begins."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from flask import Response, request
from sqlalchemy import Connection, RowMapping
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from ....domain.access.roles import Role
from ....domain.errors import Conflict, InngestPyError, Invalid, NotFound
from ....domain.functions.search_keys import by_name
from ....domain.operations import operations as rules
from ....domain.operations.operations import OPEN, Kind, Outcome
from ....domain.values import canonical, ids
from ....domain.values.json_types import JsonObject
from ....engine.operations import manage
from ....engine.operations.manage import Preview
from ....storage.queries import function_list
from ....storage.queries.errors import groups
from ....storage.queries.operations import operation_list
from ....storage.queries.paging import Page
from ...deps import context, read
from ...parts import choices, key_filters
from ...parts.form_errors import wrong_fields
from ...parts.notices import leave
from ...rendering import page, url
from ...routes import route
from ..audit import actor

_PAGE = 50
_REPLAY = ("function", "since", "from", "until", "events")  # the form's fields
_MOST_RATE = 20  # characters of a rate that are shown again
_RATES = ("", "1", "5", "10", "50", "100")
_NOTICES = {"paused": "operation-paused", "running": "operation-resumed"}


@dataclass(frozen=True, slots=True)
class Shown:
    """An operation as its page shows it."""

    row: RowMapping
    statuses: Mapping[str, int]
    reasons: list[RowMapping]
    results: Page
    error: RowMapping | None  # the error whose runs it works on

    @property
    def done(self) -> int:
        """How many items it has handled."""
        return int(self.row["succeeded"] + self.row["skipped"] + self.row["failed"])

    @property
    def is_open(self) -> bool:
        """Whether it may still be changed."""
        return self.row["state"] in OPEN

    @property
    def selection(self) -> JsonObject:
        """What it works on."""
        return _selection(self.row)


def _selection(row: RowMapping) -> JsonObject:
    found: JsonObject = canonical.loads(row["selection"])
    return found


def _error_of(tx: Connection, selection: JsonObject) -> RowMapping | None:
    """Find the error that a selection names; None without one, and if it was forgotten."""
    named = selection.get("error")
    return None if named is None else groups.get(tx, str(named), context().now())


def selection_of(given: "MultiDict[str, str]", now: datetime) -> JsonObject:
    """Write the filters of the list of runs, as its URL has them, as a selection."""
    begin, end = choices.times_of(given, now)
    function = given.get("function", "")
    row = read(lambda tx: function_list.get(tx, function)) if function else None
    keys = key_filters.read(given, read(function_list.every))
    found: JsonObject = {
        "status": [word for word in given.getlist("status") if word],
        "function": row["slug"] if row is not None else function,
        "since": begin and begin.isoformat(),
        "until": end and end.isoformat(),
        "text": keys.text,
        "keys": by_name(keys.pairs),
        **{name: given.get(name, "").strip() for name in ("app", "event", "cel", "error")},
    }
    return {name: value for name, value in found.items() if value}


def _events_of(given: "MultiDict[str, str]", now: datetime) -> JsonObject:
    begin, end = choices.times_of(given, now)
    names = [name.strip() for name in given.get("events", "").split(",")]
    found: JsonObject = {
        "function": given.get("function", ""),
        "since": begin and begin.isoformat(),
        "until": end and end.isoformat(),
        "events": [name for name in names if name],
    }
    return {name: value for name, value in found.items() if value}


@route("/operations", Role.VIEWER)
def operations() -> Response:
    """List operations, newest first."""
    after = operation_list.NEWEST.position_of(request.args.get("before"), "before")
    found = read(lambda tx: operation_list.page(tx, first=_PAGE, after=after))
    return page("operations.html", found=found, first=after is None)


@route("/operations/new", Role.OPERATOR)
def operation_form() -> Response:
    """Ask before an operation begins: how much there is, of which functions, at which rate."""
    given, now = request.args, context().now()
    kind = given.get("kind", "")
    if kind not in list(Kind):
        raise Invalid(f"kind must be one of {', '.join(Kind)}", field="kind")
    replays = kind == Kind.REPLAY_EVENTS
    if replays and "since" not in given and "from" not in given:
        return page("replay_form.html", given=given, since=choices.SINCE)
    try:
        selection = _events_of(given, now) if replays else selection_of(given, now)
        asked = rules.parse({"kind": kind, "selection": selection}, now)
        found = manage.preview(context(), asked)
    except InngestPyError as error:
        if replays:
            wrong = wrong_fields(
                error, _REPLAY, "function" if isinstance(error, NotFound) else None
            )
            told = {"problem": error.message, "wrong": wrong}
            return page("replay_form.html", 400, given=given, since=choices.SINCE, **told)
        raise
    return _asking(kind, selection, found)


def _asking(
    kind: str, selection: JsonObject, found: Preview, rate: str = "", problem: str | None = None
) -> Response:
    return page(
        "operation_form.html",
        400 if problem else 200,
        kind=kind,
        selection=selection,
        stored=canonical.dumps(selection).decode(),
        found=found,
        error=read(lambda tx: _error_of(tx, selection)),
        rates=_RATES,
        rate=rate,
        problem=problem,
        wrong={} if problem is None else {"rate": problem},
    )


@route("/operations", Role.OPERATOR, methods=("POST",))
def operation_begin() -> AnyResponse:
    """Begin the operation that the form has asked about."""
    form = request.form
    selection = canonical.loads(form.get("selection", ""))
    asked: JsonObject = {"kind": form.get("kind"), "selection": selection}
    now = context().now()
    try:
        rate = _rate(form.get("rate", ""))
        wanted = rules.parse(asked | {"rate": rate, "name": form.get("name") or None}, now)
    except Invalid as error:
        if error.field != "rate":
            raise
        found = manage.preview(context(), rules.parse(asked, now))
        return _asking(
            form.get("kind", ""), selection, found, form.get("rate", "")[:_MOST_RATE], error.message
        )
    made = manage.begin(context(), wanted, actor())
    return leave(url("operation", operation_id=made), "operation-begun")


def _rate(text: str) -> float | None:
    """Read a rate of a form; empty is no limit. Raises Invalid."""
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        raise Invalid("rate must be a number of items a second", field="rate") from None


@route("/operations/<operation_id>", Role.VIEWER)
def operation(operation_id: str) -> Response:
    """Show an operation: its progress, which is live, and what became of each item."""
    return _show(operation_id)


def _show(
    operation_id: str,
    problem: str | None = None,
    status: int = 200,
    *,
    wrong: Mapping[str, str] | None = None,
) -> Response:
    ids.check_ulid(operation_id, "an operation's id")
    given = request.args
    outcome = given.get("outcome") if given.get("outcome") in list(Outcome) else None
    after = operation_list.RESULTS.position_of(given.get("after"), "after")

    def load(tx: Connection) -> Shown | None:
        row = operation_list.get(tx, operation_id)
        if row is None:
            return None
        return Shown(
            row,
            operation_list.statuses(tx, operation_id, by_phase=True),
            operation_list.reasons(tx, operation_id),
            operation_list.results(tx, operation_id, first=_PAGE, after=after, outcome=outcome),
            _error_of(tx, _selection(row)),
        )

    found = read(load)
    if found is None:
        raise NotFound(f"operation {operation_id} does not exist: it may have been deleted")
    return page(
        "operation.html",
        status,
        one=found,
        rates=_RATES,
        outcome=outcome,
        first=after is None,
        here_path=url("operation", operation_id=operation_id),
        problem=problem,
        wrong=wrong or {},
        rate=request.form.get("rate", "")[:_MOST_RATE] if wrong else None,
    )


@route("/operations/<operation_id>", Role.OPERATOR, methods=("POST",))
def operation_change(operation_id: str) -> AnyResponse:
    """Pause, resume or cancel an operation, or set its rate."""
    ids.check_ulid(operation_id, "an operation's id")
    state = request.form.get("state")
    try:
        body = {"state": state} if state else {"rate": _rate(request.form.get("rate", ""))}
        manage.change(context(), operation_id, rules.parse_change(body), actor())
    except Conflict as error:
        return _show(operation_id, error.message, 409)
    except Invalid as error:
        return _show(operation_id, error.message, 400, wrong=wrong_fields(error, ("rate",)))
    word = _NOTICES.get(state or "", "operation-cancelled" if state else "operation-rate")
    return leave(url("operation", operation_id=operation_id), word)
