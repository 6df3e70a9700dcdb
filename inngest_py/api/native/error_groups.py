"""`/v1/errors`: error groups, and the same routes under /api/v1."""

from datetime import datetime
from typing import TypedDict

from flask import Blueprint, Response
from sqlalchemy import Connection, RowMapping

from ...domain.errors import NotFound
from ...domain.reports import error_groups as rules
from ...domain.reports.error_groups import ErrorState
from ...domain.values import canonical, ids
from ...domain.values.json_types import JsonObject
from ...engine.admin import error_states
from ...storage.queries import function_list
from ...storage.queries.errors import failed_runs, groups, retrying
from ...storage.queries.errors.groups import ErrorQuery
from .. import shapes
from ..actors import actor
from ..deps import context
from ..errors import answer
from . import openapi
from .error_schemas import (
    ErrorAnswer,
    ErrorBody,
    ErrorList,
    ErrorsQuery,
    RetryingList,
    RetryingQuery,
)

blueprint = Blueprint("v1_errors", __name__, url_prefix="/v1/errors")
native = openapi.documented("errors")
_SAMPLES = 10
_MOST_COUNTED = 10_000


class _Wanted(TypedDict, total=False):
    """The query of a list, as ErrorsQuery reads it."""

    function: str
    app: str
    state: list[str]
    since: datetime
    until: datetime
    text: str
    order: str
    cursor: str
    limit: int


class _Change(TypedDict, total=False):
    """A change, as ErrorBody reads it."""

    state: str
    muted_until: datetime | None


def _listed(wanted: _Wanted) -> Response:
    by = groups.ORDERS[wanted["order"]]
    after = by.position_of(wanted.get("cursor"))
    query = ErrorQuery(
        function=wanted.get("function"),
        app=wanted.get("app"),
        states=[ErrorState(state) for state in wanted.get("state", ())] or None,
        since=wanted.get("since"),
        until=wanted.get("until"),
        text=wanted.get("text"),
    )
    now = context().now()
    with context().db.reading() as tx:
        found = groups.page(tx, query, now, by, first=wanted["limit"], after=after)
        counted = groups.by_hour(tx, [row["id"] for row in found.rows], rules.first_hour(now))
    rows = [_summary(row, counted[row["id"]], now) for row in found.rows]
    return answer({"data": rows, "cursor": found.next, "has_more": found.more})


def _retrying(function: str | None, app: str | None) -> Response:
    now = context().now()
    with context().db.reading() as tx:
        chosen = None if function is app is None else function_list.ids_of(tx, function, app)
        found = retrying.now_retrying(tx, now, chosen)
    data = [
        {
            "error_id": cause.error_id,
            "state": found.states.get(cause.error_id),
            "function": cause.latest.function_slug,
            "function_id": cause.latest.function_id,
            "app": cause.latest.app_name,
            "step": cause.failure.step,
            "name": cause.failure.name,
            "message": cause.failure.message,
            "runs": cause.runs,
            "next_attempt_at": shapes.stamp(cause.next_at),
            "latest_run_id": cause.latest.id,
        }
        for cause in found.causes
    ]
    return answer({"data": data, "has_more": found.more})


def _shown(error_id: str) -> Response:
    ids.check_ulid(error_id, "an error's id", "id")
    now = context().now()
    with context().db.reading() as tx:
        row = groups.get(tx, error_id, now)
        if row is None:
            raise NotFound(f"error {error_id} does not exist")
        return answer({"data": _summary_with_runs(tx, row, now)})


def _changed(error_id: str, body: _Change) -> Response:
    ids.check_ulid(error_id, "an error's id", "id")
    state = ErrorState(body["state"])
    error_states.change(context(), error_id, state, actor(), body.get("muted_until"))
    return _shown(error_id)


def _summary(row: RowMapping, counted: dict[datetime, int], now: datetime) -> JsonObject:
    times = ("first_seen", "last_seen", "muted_until", "resolved_at", "regressed_at")
    texts = ("id", "step", "name", "message", "cause", "runs", "latest_run_id", "state")
    return {
        **{name: row[name] for name in (*texts, "function_id", "changed_by")},
        **{name: shapes.stamp(row[name]) for name in times},
        "function": row["function_slug"],
        "app": row["app_name"],
        "is_new_since_deploy": rules.is_new_since(row["first_seen"], row["synced_at"]),
        "hours": rules.last_hours(counted, now),
    }


def _summary_with_runs(tx: Connection, row: RowMapping, now: datetime) -> JsonObject:
    error_id = row["id"]
    counted = groups.by_hour(tx, [error_id], rules.first_day(now))[error_id]
    return _summary(row, counted, now) | {
        "frames": canonical.loads(row["frames"]),
        "days": rules.last_days(counted, now),
        "versions": [
            {
                **{name: one[name] for name in ("app_version", "sdk", "sync", "runs")},
                **{name: shapes.stamp(one[name]) for name in ("first_seen", "last_seen")},
            }
            for one in groups.versions(tx, error_id)
        ],
        "sample_runs": [
            {
                "id": run["id"],
                "status": run["status"],
                "queued_at": shapes.stamp(run["queued_at"]),
                "ended_at": shapes.stamp(run["ended_at"]),
            }
            for run in failed_runs.newest(tx, error_id, _SAMPLES)
        ],
        "still_failed": failed_runs.count_still_failed(tx, error_id, _MOST_COUNTED),
    }


@blueprint.get("")
@openapi.PARSER.use_args(ErrorsQuery, location="query")
def list_errors(query: _Wanted) -> Response:
    """List error groups."""
    return _listed(query)


@blueprint.get("/retrying")
@openapi.PARSER.use_args(RetryingQuery, location="query")
def list_retrying(query: dict[str, str]) -> Response:
    """Say why runs are tried again."""
    return _retrying(query.get("function"), query.get("app"))


@blueprint.get("/<error_id>")
def show_error(error_id: str) -> Response:
    """Show an error group."""
    return _shown(error_id)


@blueprint.patch("/<error_id>")
@openapi.PARSER.use_args(ErrorBody)
def change_error(body: _Change, error_id: str) -> Response:
    """Change the state of an error group."""
    return _changed(error_id, body)


@native.get("/errors")
@native.arguments(ErrorsQuery, location="query")
@native.alt_response(400, schema=openapi.Problem)
@native.response(200, ErrorList)
def list_native(query: _Wanted) -> Response:
    """List error groups: the runs that failed for one cause, counted together.

    A run is in its group about a second after it has failed. Runs that failed before the server
    knew groups are in none.
    """
    return _listed(query)


@native.get("/errors/retrying")
@native.arguments(RetryingQuery, location="query")
@native.alt_response(400, schema=openapi.Problem)
@native.response(200, RetryingList)
def retrying_native(query: dict[str, str]) -> Response:
    """Say why runs are tried again: they have failed attempts, and have not failed yet."""
    return _retrying(query.get("function"), query.get("app"))


@native.get("/errors/<error_id>")
@native.alt_response(400, schema=openapi.Problem)
@native.alt_response(404, schema=openapi.Problem)
@native.response(200, ErrorAnswer)
def show_native(error_id: str) -> Response:
    """Show an error group with its newest runs, its counts, and the versions of its app."""
    return _shown(error_id)


@native.patch("/errors/<error_id>")
@native.arguments(ErrorBody)
@native.alt_response(400, schema=openapi.Problem)
@native.alt_response(404, schema=openapi.Problem)
@native.response(200, ErrorAnswer)
def change_native(body: _Change, error_id: str) -> Response:
    """Mute, resolve or open an error group.

    A resolved group opens again by itself when a run fails that started after it was resolved.
    """
    return _changed(error_id, body)
