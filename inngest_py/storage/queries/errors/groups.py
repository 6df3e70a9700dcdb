"""Error groups: lists of them, one of them, and their counts by hour and by version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, case, func, literal, or_, select

from ....domain.alerts.rules import NewError
from ....domain.reports.error_groups import ErrorState
from ...catalog.functions import App, FunctionRow
from ...db.columns import Timestamp, table_of
from ...db.keyset import Key
from ...db.row_types import Query
from ...operations.error_groups import ErrorGroup, ErrorHour, ErrorVersion
from .. import paging
from ..paging import Order, Page, Position

_groups, _hours, _versions = table_of(ErrorGroup), table_of(ErrorHour), table_of(ErrorVersion)
_MOST_VERSIONS = 50
Hours = dict[str, dict[datetime, int]]  # how many runs failed, by group and hour


def _order(name: str) -> Order:
    return Order((Key(name, _groups.c[name]), Key("id", _groups.c.id)))


ORDERS: Mapping[str, Order] = {name: _order(name) for name in ("last_seen", "runs", "first_seen")}


@dataclass(frozen=True, slots=True)
class ErrorQuery:
    """Which groups to list; `since` and `until` bound when their runs failed.

    `function` is a slug or an id, `app` a name or an id.
    """

    function: str | None = None
    app: str | None = None
    states: Sequence[ErrorState] | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None  # message, name, step or function contain it, ignoring case


def page(
    tx: Connection,
    query: ErrorQuery,
    now: datetime,
    by: Order,
    *,
    first: int,
    after: Position | None = None,
) -> Page:
    """List groups, the first of the order first."""
    chosen = _select(now).where(*_conditions(query))
    if query.states is not None:
        chosen = chosen.where(state_at(now).in_([state.value for state in query.states]))
    return paging.page_of(tx, chosen, by, first=first, after=after)


def get(tx: Connection, error_id: str, now: datetime) -> RowMapping | None:
    """Find a group; None when there is none."""
    return tx.execute(_select(now).where(_groups.c.id == error_id)).mappings().first()


def counts(tx: Connection, query: ErrorQuery, now: datetime) -> dict[ErrorState, int]:
    """Count the groups of a query in each state, whatever states it asks for."""
    chosen = select(state_at(now).label("state"), func.count().label("groups"))
    chosen = _joined(chosen).where(*_conditions(query)).group_by(state_at(now))
    found = {row.state: row.groups for row in tx.execute(chosen)}
    return {state: found.get(state.value, 0) for state in ErrorState}


def new_since(tx: Connection, since: datetime, limit: int) -> list[NewError]:
    """List the open groups that were first seen, or opened again by a failure, since a time."""
    is_back = _groups.c.regressed_at >= since
    query = _joined(
        select(
            _groups.c.id,
            FunctionRow.slug,
            _groups.c.step,
            _groups.c.name,
            _groups.c.message,
            _groups.c.first_seen,
            _groups.c.regressed_at,
        )
    ).where(
        _groups.c.last_seen >= since,  # the other times are not later: this one has an index
        _groups.c.state == ErrorState.OPEN.value,
        or_(_groups.c.first_seen >= since, is_back),
    )
    rows = tx.execute(query.order_by(_groups.c.last_seen.desc(), _groups.c.id.desc()).limit(limit))
    return [
        NewError(
            row.id,
            row.slug,
            row.step,
            row.name,
            row.message,
            row.regressed_at or row.first_seen,
            is_regression=row.regressed_at is not None,
        )
        for row in rows
    ]


def _select(now: datetime) -> Query:
    chosen = select(
        *[column for column in _groups.c if column.name != "state"],
        state_at(now).label("state"),
        FunctionRow.slug.label("function_slug"),
        FunctionRow.name.label("function_name"),
        App.id.label("app_id"),
        App.name.label("app_name"),
        App.synced_at,
    )
    return _joined(chosen)


def _joined(chosen: Query) -> Query:
    chosen = chosen.select_from(_groups)
    chosen = chosen.join(FunctionRow, FunctionRow.id == _groups.c.function_id)
    return chosen.join(App, App.id == FunctionRow.app_id)


def state_at(now: datetime) -> ColumnElement[str]:
    """Write domain.reports.error_groups.state_at()."""
    is_over = (_groups.c.state == ErrorState.MUTED.value) & (
        _groups.c.muted_until <= literal(now, Timestamp)
    )
    return case((is_over, ErrorState.OPEN.value), else_=_groups.c.state)


def _conditions(query: ErrorQuery) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if query.function is not None:
        found.append(or_(FunctionRow.slug == query.function, FunctionRow.id == query.function))
    if query.app is not None:
        found.append(or_(App.name == query.app, App.id == query.app))
    if query.since is not None:
        found.append(_groups.c.last_seen >= query.since)
    if query.until is not None:
        found.append(_groups.c.first_seen < query.until)
    if query.text is not None:
        places = (_groups.c.message, _groups.c.name, _groups.c.step, FunctionRow.slug)
        found.append(or_(*[place.icontains(query.text, autoescape=True) for place in places]))
    return found


def by_hour(tx: Connection, error_ids: Sequence[str], since: datetime) -> Hours:
    """Count the runs of groups by the hour in which they failed, from an hour on."""
    mine = _hours.c.error_id.in_(error_ids), _hours.c.hour >= since
    found: Hours = {error_id: {} for error_id in error_ids}
    for row in tx.execute(select(_hours).where(*mine)):
        found[row.error_id][row.hour] = row.runs
    return found


def versions(tx: Connection, error_id: str) -> Sequence[RowMapping]:
    """List the versions of its app at which runs of a group failed, the newest first."""
    query = select(_versions).where(_versions.c.error_id == error_id)
    query = query.order_by(_versions.c.last_seen.desc()).limit(_MOST_VERSIONS)
    return tx.execute(query).mappings().all()
