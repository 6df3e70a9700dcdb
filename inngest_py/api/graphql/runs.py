"""Runs: lists, single runs in both shapes, and the events that started them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypedDict

from ariadne import ObjectType
from sqlalchemy import RowMapping

from ...domain.errors import Invalid, NotFound
from ...domain.events import filters
from ...domain.events.event_record import DEFERRED
from ...domain.reports import spans
from ...domain.runs.runs import RunStatus
from ...domain.values import canonical, ids
from ...domain.values.json_types import JsonObject
from ...engine.admin import run_search
from ...engine.admin.run_search import RunSearch
from ...storage.queries import run_list, run_lookups
from ...storage.queries.paging import Order, Position, Window
from ...storage.queries.run_filters.run_query import RunQuery
from .. import shapes
from . import paging
from .request import Info, QueryContext, of
from .root import query

connection_type = ObjectType("RunsV2Connection")
run_type = ObjectType("FunctionRunV2")
old_run_type = ObjectType("FunctionRun")
_MOST_CHOICES = 500


def filter_of(text: str | None, variables: frozenset[str]) -> filters.Filter | None:
    """Read a filter in CEL; None if there is none. Raises Invalid."""
    if not text or not text.strip():
        return None
    try:
        return filters.parse(text, variables)
    except Invalid as error:
        raise Invalid(f"query: {error.message}", field="query") from None


RunsFilter = TypedDict(
    "RunsFilter",
    {
        "from": datetime,
        "until": datetime | None,
        "timeField": str | None,
        "status": list[str] | None,
        "functionIDs": list[str] | None,
        "appIDs": list[str] | None,
        "isDeferred": bool | None,
        "query": str | None,
    },
    total=False,
)


def want(request: QueryContext, rows: Iterable[RowMapping]) -> None:
    """Let the loaders read what belongs to these runs, in one query for all runs."""
    for row in rows:
        request.functions.want([row["function_id"]])
        request.apps.want([row["app_id"]])
        request.outputs.want([row["id"]])
        request.events.want([row["event_id"]])
        request.payloads.want([row["event_id"]])
        request.defers.want([row["id"]])
        request.reruns.want([row["id"]])
        if row["batch_id"] is not None:
            request.batches.want([row["batch_id"]])


@query.field("runs")
def list_runs(
    _: object,
    info: Info,
    first: int,
    orderBy: list[dict[str, str]],
    filter: RunsFilter,
    after: str | None = None,
    preview: bool | None = None,
) -> JsonObject:
    """List runs in any order of their times."""
    request = of(info)
    paging.check_first(first)
    by = run_list.order(_order(orderBy))
    position = by.position_of(after, "after")
    wanted = filter_of(filter.get("query"), filters.RUN)
    chosen = _query_of(filter, wanted)
    search = RunSearch(_divided(request, chosen, by), wanted, request.ctx.now())

    def fetch(start: Position | None, limit: int) -> Window:
        return request.read(lambda tx: search.look(tx, start, limit, by=by))

    page = paging.read_page(request, fetch, by, first=first, after=position, fits=search.fits)
    want(request, page.rows)
    request.count_rows(page.rows)
    made = paging.connection(page, lambda row: row, began=position is None)
    is_exact = wanted is None or wanted.exact
    return made | {"count": (chosen, None if is_exact else search.fits, fetch)}


def _order(given: list[dict[str, str]]) -> list[tuple[str, bool]]:
    if not given:
        return [("queued_at", True)]
    fields = [(item["field"].lower(), item["direction"] == "DESC") for item in given]
    if len({name for name, _ in fields}) < len(fields):
        raise Invalid("orderBy names a field twice: name each once", field="orderBy")
    return fields


def _query_of(given: RunsFilter, wanted: filters.Filter | None) -> RunQuery:
    statuses = given.get("status")
    functions, apps = given.get("functionIDs"), given.get("appIDs")
    for name, chosen in (("status", statuses), ("functionIDs", functions), ("appIDs", apps)):
        if len(chosen or ()) > _MOST_CHOICES:
            raise Invalid(f"{name} holds more than {_MOST_CHOICES} values", field=name)
    return RunQuery(
        time_field=(given.get("timeField") or "QUEUED_AT").lower(),
        since=given["from"],
        until=given.get("until"),
        statuses=[RunStatus(status.lower()) for status in statuses] if statuses else None,
        function_ids=functions or None,
        app_ids=apps or None,
        deferred=given.get("isDeferred"),
        conditions=wanted.conditions if wanted is not None else (),
    )


def _divided(request: QueryContext, query: RunQuery, by: Order) -> RunQuery:
    """Let a search look up what many events have in common, if an index has the list's order.

    Without one, each window would sort all runs.
    """
    has_index = by.keys[0].name in ("queued_at", query.time_field)
    if not query.conditions or not has_index:
        return query
    found_by, looked_up = request.read(lambda tx: run_search.divided(tx, query.conditions))
    return replace(query, conditions=found_by, looked_up=looked_up)


@connection_type.field("totalCount")
def count_runs(connection: dict[str, Any], info: Info, preview: bool | None = None) -> int:
    """Count all runs that match, not only those of the page, up to MOST_COUNTED."""
    request = of(info)
    chosen, fits, fetch = connection["count"]
    if fits is None:
        return paging.count_columns(request, lambda tx, most: run_list.count(tx, chosen, most))
    return paging.count(request, fetch, fits)


def find(request: QueryContext, run_id: str, field: str = "runID") -> RowMapping:
    """Find the run that an argument names. Raises Invalid and NotFound."""
    ids.check_ulid(run_id, "a run id", field)
    found = request.read(lambda tx: run_lookups.get(tx, run_id))
    if found is None:
        raise NotFound(f"run {run_id} does not exist")
    return found


@query.field("run")
def show_run(_: object, info: Info, runID: str) -> RowMapping:
    """Find a run."""
    return find(of(info), runID)


@query.field("functionRun")
def show_function_run(_: object, info: Info, query: dict[str, str]) -> RowMapping:
    """Find a run."""
    return find(of(info), query["functionRunId"], "functionRunId")


@query.field("runTrigger")
def show_trigger(_: object, info: Info, runID: str) -> JsonObject:
    """Show the events that started a run."""
    request = of(info)
    run = find(request, runID)
    event_ids = request.count_rows(_event_ids(request, run))
    event = request.events.get(run["event_id"])
    request.payloads.want(event_ids)
    stored = [found for found in map(request.payloads.get, event_ids) if found is not None]
    return {
        "eventName": run["event_name"],
        "IDs": event_ids,
        "timestamp": event["received_at"] if event is not None else run["queued_at"],
        "payloads": [request.count_text(found) for found in stored],
        "isBatch": run["batch_id"] is not None,
        "batchID": run["batch_id"],
        "cron": run["cron"],
    }


def _event_ids(request: QueryContext, run: RowMapping) -> list[str]:
    """List the ids of the events that started a run: those of its batch in order, or the one."""
    batched = None if run["batch_id"] is None else request.batches.get(run["batch_id"])
    return batched or [run["event_id"]]


@run_type.field("output")
@old_run_type.field("output")
def output(run: RowMapping, info: Info) -> str | None:
    """Write the result, or the error object of a failed run; None while there is none."""
    request = of(info)
    stored = request.outputs.get(run["id"])
    if stored is None:
        return None
    value = shapes.output({"output": stored, "status": run["status"]})
    return request.count_text(canonical.dumps(value).decode())


@run_type.field("status")
@old_run_type.field("status")
def status(run: RowMapping, _: Info) -> str:
    """Return the status in upper case."""
    return str(run["status"]).upper()


@run_type.field("function")
@old_run_type.field("function")
def function(run: RowMapping, info: Info) -> RowMapping | None:
    """Find the run's function, archived or not."""
    return of(info).functions.get(run["function_id"])


@run_type.field("app")
def app(run: RowMapping, info: Info) -> RowMapping | None:
    """Find the run's app."""
    return of(info).apps.get(run["app_id"])


@old_run_type.field("event")
def event(run: RowMapping, info: Info) -> RowMapping | None:
    """Find the event that started the run."""
    return of(info).events.get(run["event_id"])


@run_type.field("traceID")
def trace_id(run: RowMapping, _: Info) -> str:
    """Derive the trace's id."""
    return spans.trace_id(run["id"])


@run_type.field("triggerIDs")
def trigger_ids(run: RowMapping, info: Info) -> Sequence[str]:
    """List the ids of the events that started the run."""
    request = of(info)
    return request.count_rows(_event_ids(request, run))


@run_type.field("isBatch")
def is_batch(run: RowMapping, _: Info) -> bool:
    """Say whether a batch of events started the run."""
    return run["batch_id"] is not None


@run_type.field("batchCreatedAt")
def batch_created_at(run: RowMapping, _: Info) -> datetime | None:
    """Return when the batch was begun, which its id contains."""
    batch_id: str | None = run["batch_id"]
    if batch_id is None or not ids.is_ulid(batch_id):
        return None
    return datetime.fromtimestamp(ids.ulid_ms(batch_id) / 1000, UTC)


@run_type.field("isDeferred")
def is_deferred(run: RowMapping, _: Info) -> bool:
    """Say whether this is a deferred function's run: another run asked for it."""
    return bool(run["event_name"] == DEFERRED)


@run_type.field("lastRerun")
def last_rerun(run: RowMapping, info: Info) -> JsonObject | None:
    """Find the newest run that repeats the run."""
    found = of(info).reruns.get(run["id"])
    if found is None:
        return None
    status = found["status"].upper()
    return {"id": found["id"], "status": status, "operationID": found["operation_id"]}


@run_type.field("defers")
def defers(run: RowMapping, info: Info) -> Sequence[JsonObject]:
    """List the deferred functions of the run."""
    request = of(info)
    found = request.defers.get(run["id"]) or {}
    listed: list[JsonObject] = [
        {
            "id": one.hash,
            "name": one.name,
            "fnSlug": one.slug,
            "status": one.status.upper(),
            "reason": one.reason,
        }
        for one in found.values()
    ]
    return request.count_rows(listed)


for _name, _column in {
    "appID": "app_id",
    "functionID": "function_id",
    "queuedAt": "queued_at",
    "startedAt": "started_at",
    "endedAt": "ended_at",
    "eventName": "event_name",
    "cronSchedule": "cron",
    "originalRunID": "original_run_id",
}.items():
    run_type.set_alias(_name, _column)
for _name, _column in {
    "functionID": "function_id",
    "startedAt": "started_at",
    "finishedAt": "ended_at",
    "eventID": "event_id",
    "batchID": "batch_id",
}.items():
    old_run_type.set_alias(_name, _column)

TYPES = (connection_type, run_type, old_run_type)
