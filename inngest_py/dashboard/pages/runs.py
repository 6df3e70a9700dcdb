"""The page of runs with its filters, and the form that cancels or reruns the ticked ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import parse_qsl

from flask import Response, redirect, request
from sqlalchemy import Connection, RowMapping
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from ...domain.access.roles import Role
from ...domain.errors import Invalid
from ...domain.events import filters
from ...domain.events.filters import Condition
from ...domain.runs import saved_views as views
from ...domain.runs.phases import WORDS, chosen
from ...domain.runs.runs import RunStatus
from ...domain.values import ids
from ...engine.admin import bulk, run_search, saved_views, search_keys
from ...engine.admin.run_search import RunSearch
from ...engine.runtime.context import Context
from ...storage.queries import function_list, run_list
from ...storage.queries.errors import run_errors
from ...storage.queries.errors.run_errors import ErrorLine
from ...storage.queries.operations import operation_list
from ...storage.queries.paging import Fetch, Page, Position, Window
from ...storage.queries.run_filters.run_query import RunQuery
from ..deps import context, deps, read, read_with
from ..live.run_counts import Asked
from ..parts import choices, key_filters, lists, payload_columns, run_plot
from ..parts.form_errors import wrong_fields
from ..parts.notices import leave
from ..parts.payload_columns import Column
from ..parts.run_plot import RunPlot
from ..rendering import fragment, page, url
from ..routes import route
from .audit import actor

MOST_AT_ONCE = 500

_FIELDS = ("event", "since", "from", "until", "q", "cel")


@dataclass(frozen=True, slots=True)
class Search(RunSearch):
    """The runs that a page shows, and where it begins in the list."""

    after: Position | None

    def fetch(self, ctx: Context) -> Fetch:
        """Make the function that reads windows of rows."""

        def look(after: Position | None, limit: int) -> Window:
            return read_with(ctx, lambda tx: self.look(tx, after, limit))

        return look


def search(given: "MultiDict[str, str]", functions: list[RowMapping], now: datetime) -> Search:
    """Read the filters from the URL. Raises Invalid, which names the field."""
    span = choices.span(given, now)
    wanted = choices.cel(given, filters.RUN)
    conditions = wanted.conditions if wanted is not None else ()
    name, prefix = choices.name_or_prefix(given, "event")
    if name is not None:
        conditions = (*conditions, Condition(("name",), "==", name))
    found_by, looked_up = read(lambda tx: run_search.divided(tx, conditions))
    statuses, phases = chosen([word for word in given.getlist("status") if word])
    keys = key_filters.read(given, functions)
    query = RunQuery(
        statuses=statuses,
        phases=phases,
        function_ids=_function_ids(given, functions),
        conditions=found_by,
        text=keys.text or None,
        keys=keys.checked(),
        event_prefix=prefix,
        looked_up=looked_up,
        from_id=span.from_id,
    )
    return Search(query, wanted, now, span.after)


def _function_ids(given: Mapping[str, str], functions: list[RowMapping]) -> list[str] | None:
    """List the ids of the functions to search; an app means all of its functions."""
    function, app = given.get("function", ""), given.get("app", "")
    if not function and not app:
        return None
    found = [row for row in functions if not app or row["app_name"] == app]
    found = [row for row in found if not function or function in (row["id"], row["slug"])]
    return [row["id"] for row in found] or [""]


@route("/runs", Role.VIEWER)
def runs() -> Response:
    """List runs, newest first."""
    now = context().now()
    functions = read(function_list.every)
    found, problem, status, wrong = Page(run_list.NEWEST), None, 200, {}
    columns: list[Column] = []
    names: list[str] = []
    plot: RunPlot | None = None
    try:
        columns = payload_columns.chosen(request.args, functions)
        wanted = search(request.args, functions, now)
        names = [name for name, _ in wanted.query.keys]
        found = lists.page(
            wanted.fetch(context()), run_list.NEWEST, after=wanted.after, fits=wanted.fits
        )
        plot = _first_plot(wanted)
    except Invalid as error:
        problem, status, wrong = error.message, 400, wrong_fields(error, _FIELDS)
    again, errors = read(lambda tx: beside(tx, found.rows))
    further = lists.further(found, request.args)
    following = choices.query_string(request.args, before=found.next) if found.next else None
    return page(
        "runs.html",
        status,
        found=found,
        again=again,
        errors=errors,
        functions=[row for row in functions if row["archived_at"] is None],
        app_names=sorted({row["app_name"] for row in functions}),
        given=request.args,
        chosen=request.args.getlist("status"),
        statuses=[*WORDS, *{RunStatus.RUNNING.value}.intersection(request.args.getlist("status"))],
        since=choices.SINCE,
        following=following,
        further=further,
        filters=choices.query_string(request.args, before=None),
        filtered=bool(choices.query_string(request.args, before=None)),
        first=not request.args.get("before"),
        problem=problem,
        extra=read(lambda tx: payload_columns.load(tx, columns, found.rows)),
        most_columns=payload_columns.MOST,
        views=read(saved_views.every),
        view_query=views.only_filters(choices.query_string(request.args)),
        key_fields=key_filters.fields(request.args, functions),
        unfinished=read(lambda tx: search_keys.unfinished(tx, names)),
        plot=plot,
        wrong=wrong,
    )


@route("/runs/plot", Role.VIEWER)
def runs_plot() -> Response:
    """Answer with the plot of the list and its total alone, counted further."""
    now = context().now()
    wanted = search(request.args, read(function_list.every), now)
    return fragment("run_plot.html", "plot", _plot(wanted, run_plot.PLOT_SECONDS))


def _plot(wanted: Search, seconds: float) -> RunPlot:
    """Count the runs of a search, whatever page of it is shown."""
    begin, end = choices.times_of(request.args, wanted.now)
    before_id = None if end is None else ids.lowest_ulid(end)
    query = replace(wanted.query, before_id=before_id)
    is_search = bool(wanted.fits is not None or query.conditions)
    asked = Asked(query, begin, end, wanted.now, is_search)
    counted = read(lambda tx: deps().run_counts.count(tx, asked, seconds))
    return run_plot.shown(counted, request.args, is_search=is_search)


def _first_plot(wanted: Search) -> RunPlot | None:
    """Make the plot of a page; None for what a page asks for that has its plot already.

    A search takes the time that a page has, so its plot counts by itself.
    """
    if "HX-Request" in request.headers:
        return None
    if wanted.fits is not None:
        return run_plot.shown(None, request.args, is_search=True)
    return _plot(wanted, run_plot.PAGE_SECONDS)


def beside(
    tx: Connection, rows: Sequence[RowMapping]
) -> tuple[dict[str, RowMapping], dict[str, ErrorLine]]:
    """Read what else the rows show: their newest reruns, and their errors."""
    reruns = operation_list.last_reruns(tx, [row["id"] for row in rows])
    return reruns, run_errors.lines(tx, rows)


@route("/runs/bulk", Role.OPERATOR, methods=("POST",))
def runs_bulk() -> AnyResponse:
    """Cancel or rerun the ticked runs; ask first about all that the filter finds."""
    action = request.form.get("action", "")
    if action not in ("cancel", "rerun"):
        raise Invalid("action must be cancel or rerun", field="action")
    given = MultiDict(_pairs(request.form.get("filters", "")))
    if request.form.get("all") == "1":
        query = choices.query_string(given, kind=action)
        return redirect(f"{url('operation_form')}?{query}", 303)
    chosen = request.form.getlist("run")[:MOST_AT_ONCE]
    run_ids = [ids.check_ulid(run_id, "a run id", "run") for run_id in chosen]
    if not run_ids:
        raise Invalid("choose runs first: tick them in the list", field="run")
    done = (bulk.cancel_all if action == "cancel" else bulk.rerun_all)(context(), run_ids, actor())
    target = f"{url('runs')}?{choices.query_string(given)}".rstrip("?")
    return leave(target, f"bulk-{action}", done.done, done.refused)


def _pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=False, max_num_fields=50)
