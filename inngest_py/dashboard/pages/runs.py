"""The page of runs with its filters, and the forms that cancel or rerun many."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from urllib.parse import parse_qsl

from flask import Response, request
from sqlalchemy import RowMapping
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from ...domain.access.roles import Role
from ...domain.errors import Invalid
from ...domain.events import filters
from ...domain.runs import outputs
from ...domain.runs.phases import Phase
from ...domain.runs.runs import ENDED, LIVE, RunStatus
from ...domain.values import canonical, ids
from ...engine.admin import bulk
from ...engine.runtime.context import Context
from ...storage.queries import function_list, run_list
from ...storage.queries.paging import Fetch, Fits, Page, Position, Window
from ...storage.queries.run_list import RunQuery
from ..deps import context, read, read_with
from ..parts import choices, lists
from ..parts.notices import leave
from ..rendering import page, url
from ..routes import route
from .audit import actor

# a run that has not ended is told by its phase
CHIPS = (
    *(phase.value for phase in Phase),
    *(status.value for status in RunStatus if status in ENDED),
)
MOST_AT_ONCE = 500
_MOST_LOOKED_AT = 20_000


@dataclass(frozen=True, slots=True)
class Search:
    """The runs that a list shows."""

    query: RunQuery
    after: Position | None
    cel: filters.Filter | None
    now: datetime

    @property
    def fits(self) -> Fits | None:
        """The filter of a search, which reads many rows; None for a list that needs none."""
        by_columns = self.query.text is None and self.query.event_prefix is None
        if by_columns and (self.cel is None or self.cel.exact):
            return None
        return self._fits

    def _fits(self, row: RowMapping) -> bool:
        if self.cel is None or self.cel.exact:
            return True
        variables: dict[str, object] = {"event": canonical.loads(row["payload"])}
        if row["output"] is not None:
            variables["output"] = output = _output(row)
            if row["status"] == RunStatus.FAILED.value:
                variables["error"] = output
        return self.cel.matches(variables, self.now)

    def fetch(self, ctx: Context) -> Fetch:
        """Make the function that reads windows of rows."""
        values = self.cel is not None and not self.cel.exact

        def look(after: Position | None, limit: int) -> Window:
            return read_with(
                ctx,
                lambda tx: run_list.look(tx, self.query, limit=limit, after=after, values=values),
            )

        return look


def _output(row: RowMapping) -> object:
    value = canonical.loads(row["output"])
    return outputs.error_object(value) if row["status"] == RunStatus.FAILED.value else value


def search(given: "MultiDict[str, str]", functions: list[RowMapping], now: datetime) -> Search:
    """Read the filters from the URL. Raises Invalid, which names the field."""
    span = choices.span(given, now)
    wanted = choices.cel(given, filters.RUN)
    conditions = wanted.conditions if wanted is not None else ()
    name, prefix = choices.name_or_prefix(given, "event")
    if name is not None:
        conditions = (*conditions, filters.Condition(("name",), "==", name))
    statuses, phases = _statuses(given)
    query = RunQuery(
        statuses=statuses,
        phases=phases,
        function_ids=_function_ids(given, functions),
        conditions=conditions,
        text=choices.text(given, "q") or None,
        event_prefix=prefix,
        from_id=span.from_id,
    )
    return Search(query, span.after, wanted, now)


def _statuses(
    given: "MultiDict[str, str]",
) -> tuple[list[RunStatus] | None, list[Phase] | None]:
    """Read the statuses and the phases of live runs, which the same chips choose."""
    words = [word for word in given.getlist("status") if word]
    phases = [Phase(word) for word in words if word in list(Phase)]
    try:
        statuses = [RunStatus(word) for word in words if word not in phases]
    except ValueError:
        raise Invalid(f"status must be one of {', '.join(CHIPS)}", field="status") from None
    if not phases:
        return statuses or None, None
    if RunStatus.RUNNING in statuses:  # all that have begun
        return statuses + ([RunStatus.QUEUED] if Phase.QUEUED in phases else []), None
    return [*statuses, *LIVE], phases


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
    found, problem, status = Page(run_list.NEWEST), None, 200
    try:
        wanted = search(request.args, functions, now)
        found = lists.page(
            wanted.fetch(context()), run_list.NEWEST, after=wanted.after, fits=wanted.fits
        )
    except Invalid as error:
        problem, status = error.message, 400
    further = lists.further(found, request.args)
    following = choices.query_string(request.args, before=found.next) if found.next else None
    return page(
        "runs.html",
        status,
        found=found,
        functions=[row for row in functions if row["archived_at"] is None],
        app_names=sorted({row["app_name"] for row in functions}),
        given=request.args,
        chosen=request.args.getlist("status"),
        statuses=[
            *CHIPS,
            *({RunStatus.RUNNING.value}.intersection(request.args.getlist("status"))),
        ],
        since=choices.SINCE,
        following=following,
        further=further,
        filters=choices.query_string(request.args, before=None),
        filtered=bool(choices.query_string(request.args, before=None)),
        first=not request.args.get("before"),
        problem=problem,
        most=MOST_AT_ONCE,
    )


@route("/runs/bulk", Role.OPERATOR, methods=("POST",))
def runs_bulk() -> AnyResponse:
    """Cancel or rerun the chosen runs, or all that the filter finds, up to MOST_AT_ONCE."""
    action = request.form.get("action", "")
    if action not in ("cancel", "rerun"):
        raise Invalid("action must be cancel or rerun", field="action")
    run_ids = _chosen()
    if not run_ids:
        raise Invalid("choose runs first: tick them in the list", field="run")
    done = (bulk.cancel_all if action == "cancel" else bulk.rerun_all)(context(), run_ids, actor())
    back = MultiDict(_pairs(request.form.get("filters", "")))
    target = f"{url('runs')}?{choices.query_string(back)}".rstrip("?")
    return leave(target, f"bulk-{action}", done.done, done.refused)


def _chosen() -> list[str]:
    if request.form.get("all") != "1":
        chosen = request.form.getlist("run")[:MOST_AT_ONCE]
        return [ids.check_ulid(run_id, "a run id", "run") for run_id in chosen]
    given = MultiDict(_pairs(request.form.get("filters", "")))
    ctx = context()
    wanted = search(given, read(function_list.every), ctx.now())
    if request.form["action"] == "cancel" and wanted.query.statuses is None:
        live = [RunStatus.QUEUED, RunStatus.RUNNING]
        wanted = replace(wanted, query=replace(wanted.query, statuses=live))
    rows = lists.walk(wanted.fetch(ctx), wanted.after, wanted.fits, _MOST_LOOKED_AT)
    return [row["id"] for row in islice(rows, MOST_AT_ONCE)]


def _pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=False, max_num_fields=50)
