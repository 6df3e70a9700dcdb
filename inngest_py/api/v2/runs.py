"""`GET /v2/runs` and `/runs/{id}`, and the runs of an event or a function."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response
from sqlalchemy import Connection, RowMapping

from ...domain.errors import Invalid, NotFound
from ...domain.runs.runs import RunStatus
from ...domain.values.json_types import JsonObject
from ...storage.queries import event_lookups, function_list, run_list, run_lookups
from ...storage.queries.paging import Order, Position
from ...storage.queries.run_filters.run_query import RunQuery
from ..deps import context
from ..shapes import ShownRow
from . import apps, functions, shapes
from .common import arg as parameter
from .common import args, blueprint, cursor, enveloped, flag, limit, moment, paged, ulid

_TIMES = {"queuedAt": "queued_at", "startedAt": "started_at", "endedAt": "ended_at"}
_STATUSES = {status.value.upper(): status for status in RunStatus}
_PREFIX = "FUNCTION_RUN_STATUS_"
_MOST_NAMES = 100
_SHOWN = (
    *("id", "status", "queued_at", "started_at", "ended_at", "cron", "event_id", "batch_id"),
    *("function_slug", "function_name", "app_name", "event_name"),
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The parameters of a list."""

    time_field: str
    by: Order
    after: Position | None
    most: int
    output: bool


@blueprint.get("/runs")
def list_runs() -> Response:
    """List runs, filtered, by one of their times."""
    asked = _asked()
    with context().db.reading() as tx:
        chosen = [apps.find(tx, name) for name in _few("appId")]
        app_ids = [row["id"] for row in chosen] or None
        named = _function_ids(tx, chosen, _few("functionId"))
        return _list(tx, asked, _query(asked, app_ids=app_ids, function_ids=named))


@blueprint.get("/apps/<app_id>/functions/<function_id>/runs")
def list_runs_of_function(app_id: str, function_id: str) -> Response:
    """List the runs of a function."""
    asked = _asked()
    with context().db.reading() as tx:
        row = functions.find(tx, app_id, function_id)
        return _list(tx, asked, _query(asked, function_ids=[row["id"]]))


@blueprint.get("/events/<event_id>/runs")
def list_runs_of_event(event_id: str) -> Response:
    """List the runs that an event started, oldest first."""
    ulid(event_id, "event")
    by, output = run_list.OLDEST, bool(flag("includeOutput"))
    asked = _Asked("queued_at", by, cursor(by), limit(), output)
    with context().db.reading() as tx:
        if not event_lookups.exists(tx, event_id):
            raise NotFound(f"event {event_id} does not exist")
        return _list(tx, asked, RunQuery(event_id=event_id))


@blueprint.get("/runs/<run_id>")
def show_run(run_id: str) -> Response:
    """Show a run."""
    ulid(run_id, "run")
    with context().db.reading() as tx:
        row = run_lookups.get(tx, run_id, _SHOWN)
        if row is None:
            raise NotFound(f"run {run_id} does not exist")
        (shaped,) = _shaped(tx, [row], output=bool(flag("includeOutput")))
    return enveloped(shaped)


def _shaped(tx: Connection, rows: Sequence[ShownRow], *, output: bool) -> list[JsonObject]:
    batched = sorted({row["batch_id"] for row in rows if row["batch_id"] is not None})
    events_of = event_lookups.ids_of_batches(tx, batched) if batched else {}
    outputs = run_lookups.outputs(tx, [row["id"] for row in rows]) if output else {}
    return [shapes.run(row, events_of, outputs.get(row["id"])) for row in rows]


def _asked() -> _Asked:
    order = (parameter("order") or "desc").lower()
    if order not in ("asc", "desc"):
        raise _wrong("order", "asc or desc")
    name = parameter("timeField") or "queuedAt"
    time_field = _TIMES.get(name) or (name if name in run_list.TIMES else None)
    if time_field is None:
        raise _wrong("timeField", "queuedAt, startedAt or endedAt")
    by = run_list.order([(time_field, order == "desc")])
    return _Asked(time_field, by, cursor(by), limit(), bool(flag("includeOutput")))


def _query(asked: _Asked, **more: Any) -> RunQuery:
    statuses = [_status(text) for text in args("status")]
    return RunQuery(
        time_field=asked.time_field,
        since=moment("from"),
        until=moment("until"),
        statuses=statuses or None,
        deferred=flag("isDeferred"),
        **more,
    )


def _status(text: str) -> RunStatus:
    found = _STATUSES.get(text.upper().removeprefix(_PREFIX))
    if found is None:
        raise _wrong("status", f"one of {', '.join(_STATUSES)}")
    return found


def _wrong(name: str, wanted: str) -> Invalid:
    return Invalid(f"{name} must be {wanted}", field=name, code="invalid_field_format")


def _few(name: str) -> list[str]:
    found = args(name)
    if len(found) > _MOST_NAMES:
        raise Invalid(
            f"{name} is given more than {_MOST_NAMES} times",
            field=name,
            code="invalid_field_format",
        )
    return found


def _function_ids(
    tx: Connection, chosen: Sequence[RowMapping], names: list[str]
) -> list[str] | None:
    """Find functions by name within the chosen apps; None if no function is named."""
    if not names:
        return None
    if not chosen:
        message = "functionId needs appId: a function's id is unique within its app only"
        raise Invalid(message, field="functionId", code="missing_field")
    found: list[str] = []
    for app in chosen:
        slugs = [*names, *(f"{app['name']}-{name}" for name in names)]
        found += [row["id"] for row in function_list.by_slugs(tx, app["id"], slugs)]
    return found


def _list(tx: Connection, asked: _Asked, query: RunQuery) -> Response:
    found = run_list.page(tx, query, asked.by, first=asked.most, after=asked.after, columns=_SHOWN)
    shaped = _shaped(tx, found.rows, output=asked.output)
    return enveloped(shaped, paged(found.next, asked.most))
