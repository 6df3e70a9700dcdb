"""The pages of error groups: their list, one of them, and the forms that change its state."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from flask import Response, request
from sqlalchemy import Connection, RowMapping
from werkzeug.wrappers import Response as AnyResponse

from ...domain.access.roles import Role
from ...domain.errors import Invalid, NotFound
from ...domain.reports import error_groups as rules
from ...domain.reports.error_groups import ErrorState
from ...domain.values import canonical, ids
from ...engine.admin import error_states
from ...storage.queries import app_list, function_list
from ...storage.queries.errors import failed_runs, groups, retrying
from ...storage.queries.errors.groups import ErrorQuery
from ...storage.queries.errors.retrying import Retrying
from ...storage.queries.operations import operation_list
from ...storage.queries.paging import Page
from ..deps import context, read
from ..parts import charts, choices, lists
from ..parts.form_errors import wrong_fields
from ..parts.notices import leave
from ..rendering import page, url
from ..routes import route
from .audit import actor

_SAMPLES = 20
_MOST_COUNTED = 10_000
_ORDERS = {"last_seen": "last seen", "runs": "most runs", "first_seen": "newest cause"}
_MUTES = {
    "1h": ("for an hour", timedelta(hours=1)),
    "1d": ("for a day", timedelta(days=1)),
    "7d": ("for a week", timedelta(days=7)),
    "ever": ("for ever", None),
}
_NOTICES = {
    ErrorState.OPEN: "error-open",
    ErrorState.MUTED: "error-muted",
    ErrorState.RESOLVED: "error-resolved",
}

_FIELDS = ("since", "q", "order")


@route("/errors", Role.VIEWER)
def errors() -> Response:
    """List error groups in a state, the last seen first."""
    now = context().now()
    found = Page(groups.ORDERS["last_seen"])
    state, problem, status, wrong = ErrorState.OPEN, None, 200, {}
    counted: dict[ErrorState, int] = dict.fromkeys(ErrorState, 0)
    hours: groups.Hours = {}
    again = retrying.NOTHING
    try:
        state, query = _search(request.args, now)
        by = groups.ORDERS[_order(request.args)]
        after = by.position_of(request.args.get("after"), "after")

        def load(tx: Connection) -> tuple[Page, dict[ErrorState, int], groups.Hours, Retrying]:
            listed = groups.page(tx, query, now, by, first=lists.PAGE, after=after)
            ids_ = [row["id"] for row in listed.rows]
            hours = groups.by_hour(tx, ids_, rules.first_hour(now))
            counts = groups.counts(tx, query, now)
            return listed, counts, hours, _retrying(tx, query, request.args, now)

        found, counted, hours, again = read(load)
    except Invalid as error:
        problem, status, wrong = error.message, 400, wrong_fields(error, _FIELDS)
    functions, apps = read(lambda tx: (function_list.every(tx), app_list.every(tx)))
    following = choices.query_string(request.args, after=found.next) if found.next else None
    return page(
        "errors.html",
        status,
        rows=shown(found.rows, hours, now),
        state=state,
        tabs=[
            (one, counted[one], choices.query_string(request.args, after=None, state=one.value))
            for one in ErrorState
        ],
        functions=[row for row in functions if row["archived_at"] is None],
        app_names=sorted({row["name"] for row in apps if row["name"]}),
        orders=_ORDERS,
        since=choices.SINCE,
        given=request.args,
        filtered=bool(choices.query_string(request.args, after=None, state=None)),
        first=not request.args.get("after"),
        following=following,
        problem=problem,
        retrying=again.unmuted(),
        states=again.states,
        most_retrying=retrying.MOST if again.more else None,
        wrong=wrong,
    )


def _retrying(
    tx: Connection, query: ErrorQuery, given: Mapping[str, str], now: datetime
) -> Retrying:
    """Say why runs are tried again, above the first page of open errors; a text finds none."""
    if query.states != [ErrorState.OPEN] or query.text is not None or given.get("after"):
        return retrying.NOTHING
    chosen = None
    if query.function is not None or query.app is not None:
        chosen = function_list.ids_of(tx, query.function, query.app)
    return retrying.now_retrying(tx, now, chosen)


def _search(given: Mapping[str, str], now: datetime) -> tuple[ErrorState, ErrorQuery]:
    """Read the filters from the URL. Raises Invalid, which names the field."""
    word, since = given.get("state") or ErrorState.OPEN.value, given.get("since", "")
    if word not in list(ErrorState):
        raise Invalid(f"state must be one of {', '.join(ErrorState)}", field="state")
    if since and since not in choices.SINCE:
        raise Invalid(f"since must be one of {', '.join(choices.SINCE)}", field="since")
    query = ErrorQuery(
        function=given.get("function") or None,
        app=given.get("app") or None,
        states=[ErrorState(word)],
        since=now - choices.SINCE[since][1] if since else None,
        text=choices.text(given, "q") or None,
    )
    return ErrorState(word), query


def _order(given: Mapping[str, str]) -> str:
    order = given.get("order") or "last_seen"
    if order not in _ORDERS:
        raise Invalid(f"order must be one of {', '.join(_ORDERS)}", field="order")
    return order


def shown(
    rows: Sequence[RowMapping], hours: Mapping[str, Mapping[datetime, int]], now: datetime
) -> list[dict[str, object]]:
    """Add to groups what lists show beside their columns: counts by hour, and what is new."""
    return [
        {
            **row,
            "hours": rules.last_hours(hours[row["id"]], now),
            "is_new": rules.is_new_since(row["first_seen"], row["synced_at"]),
        }
        for row in rows
    ]


def open_groups(tx: Connection, now: datetime, most: int) -> tuple[list[dict[str, object]], int]:
    """Read the open groups that were seen in the last day, and count all that are open."""
    query = ErrorQuery(states=[ErrorState.OPEN], since=now - timedelta(days=1))
    found = groups.page(tx, query, now, groups.ORDERS["last_seen"], first=most).rows
    hours = groups.by_hour(tx, [row["id"] for row in found], rules.first_hour(now))
    return shown(found, hours, now), groups.counts(tx, ErrorQuery(), now)[ErrorState.OPEN]


@route("/errors/<error_id>", Role.VIEWER)
def error(error_id: str) -> Response:
    """Show an error group: its message, its counts and its runs."""
    ids.check_ulid(error_id, "an error's id", "id")
    now = context().now()

    def load(tx: Connection) -> tuple[RowMapping, dict[str, object]]:
        row = groups.get(tx, error_id, now)
        if row is None:
            raise NotFound(f"error {error_id} does not exist: it never did, or it was forgotten")
        counted = groups.by_hour(tx, [error_id], rules.first_day(now))[error_id]
        runs = failed_runs.newest(tx, error_id, _SAMPLES)
        return row, {
            "hours": _by_hour(rules.last_hours(counted, now), now),
            "days": _by_day(rules.last_days(counted, now), now),
            "versions": groups.versions(tx, error_id),
            "runs": runs,
            "again": operation_list.last_reruns(tx, [run["id"] for run in runs]),
            "still_failed": failed_runs.count_still_failed(tx, error_id, _MOST_COUNTED),
        }

    row, found = read(load)
    return page(
        "error.html",
        200,
        **found,
        error=row,
        frames=canonical.loads(row["frames"]),
        is_new=rules.is_new_since(row["first_seen"], row["synced_at"]),
        mutes=_MUTES,
        most=_MOST_COUNTED,
    )


def _by_hour(counts: Sequence[int], now: datetime) -> charts.Plot:
    first, axis = rules.first_hour(now), charts.Axis("The last 24 hours", "hour")
    times = [first + timedelta(hours=place) for place in range(len(counts))]
    return charts.bars(times, [charts.Series("failed", "bad", counts)], axis)


def _by_day(counts: Sequence[int], now: datetime) -> charts.Plot:
    first, axis = rules.first_day(now), charts.Axis("The last 7 days", "day", has_days=True)
    times = [first + timedelta(days=place) for place in range(len(counts))]
    return charts.bars(times, [charts.Series("failed", "bad", counts)], axis)


@route("/errors/<error_id>/state", Role.OPERATOR, methods=("POST",))
def error_state(error_id: str) -> AnyResponse:
    """Mute, resolve or open an error group."""
    ids.check_ulid(error_id, "an error's id", "id")
    word, length = request.form.get("state", ""), request.form.get("for", "ever")
    if word not in list(ErrorState):
        raise Invalid(f"state must be one of {', '.join(ErrorState)}", field="state")
    if length not in _MUTES:
        raise Invalid(f"for must be one of {', '.join(_MUTES)}", field="for")
    state, lasts = ErrorState(word), _MUTES[length][1]
    until = None
    if state is ErrorState.MUTED and lasts is not None:
        until = context().now() + lasts
    error_states.change(context(), error_id, state, actor(), until)
    return leave(url("error", error_id=error_id), _NOTICES[state])
