"""Lists of runs in the order of ids by several statuses or functions: the first runs of each.

An index has the runs of one status, or of one function, in the order of their ids. Of several,
SQLite read and sorted all: a page of an app with a million runs took 3 s of CPU. The first rows of
each branch are few, and the first rows of the list are among them.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, func, select, true, union_all

from ...catalog.functions import FunctionRow
from ...db.columns import table_of
from ...db.dialects import pick
from ...db.keyset import Key, after_position
from ...db.row_types import AnyColumn, Query
from ...events.events import EventRow
from ..paging import Position
from ..run_columns import runs, select_runs
from .choosing import choose
from .leads import Lead, LeadBy
from .run_query import RunQuery, id_column, where

_functions = table_of(FunctionRow).alias("branch")
# ids that the branches of one window read: 50,000 take 50 ms
_MOST_READ, _LEAST_WINDOW = 50_000, 100


def branches(query: RunQuery) -> Sequence[RunQuery]:
    """Split a query by its statuses, unless its functions alone split it."""
    statuses = query.wanted_statuses
    if not statuses or query.error_id is not None or query.event_id is not None:
        return [query]
    if query.phases is None and (query.function_ids is not None or len(statuses) == 1):
        return [query]
    return query.by_status


def is_branched(query: RunQuery, lead: Lead) -> bool:
    """Say whether a list is read by first_ids(): whether no index has its order."""
    if lead.by is None or lead.key is not None:
        return False
    several = query.function_ids is not None and len(query.function_ids) > 1
    return lead.is_rare or several


def window_of(query: RunQuery, limit: int) -> int:
    """Bound the window of a search that reads so many runs of each of its functions."""
    number = max(len(query.function_ids or ()), 1)
    return min(limit, max(_MOST_READ // number, _LEAST_WINDOW))


def first_ids(
    tx: Connection, query: RunQuery, lead: Lead, sort: Key, limit: int, after: Position | None
) -> Query:
    """Select the first ids of a list, in its order, after a position.

    `lead` is that of the query; branches by status have their own.
    """
    order, split = _Order(sort, limit, after), branches(query)
    if len(split) == 1:
        return _of_branch(tx, query, lead, order)
    return order.merged([_of_branch(tx, one, choose(tx, one), order) for one in split])


class _Order:
    """The order of a list by ids, and its part that is read."""

    def __init__(self, sort: Key, limit: int, after: Position | None) -> None:
        self._sort, self._limit, self._after = sort, limit, after

    def first(self, chosen: Query, lead: Lead) -> Query:
        """Read the first runs of a query. The few of a rare lead are sorted."""
        column = id_column(lead.key)
        if self._after is not None:
            chosen = chosen.where(after_position([self._by(column)], self._after[-1:]))
        if lead.hides and lead.is_rare:  # SQLite would look for them in the order of all ids
            column = func.coalesce(column, "")
        return self._ordered(chosen, column)

    def merged(self, parts: Sequence[Query]) -> Query:
        """Read the first of the ids that several queries have found."""
        found = union_all(*[select(part.subquery().c.id) for part in parts]).subquery()
        return self._ordered(select(found.c.id), found.c.id)

    def _ordered(self, chosen: Query, column: AnyColumn) -> Query:
        return chosen.order_by(self._by(column).sort).limit(self._limit)

    def _by(self, column: AnyColumn) -> Key:
        return replace(self._sort, column=column)


def _of_branch(tx: Connection, query: RunQuery, lead: Lead, order: _Order) -> Query:
    ids = query.function_ids
    if lead.by is not LeadBy.FUNCTION or ids is None or len(ids) == 1:
        return order.first(where(_ids(query), query, lead), lead)
    alone = where(_ids(query), replace(query, function_ids=None), lead)
    inner = order.first(alone.where(runs.c.function_id == _functions.c.id), lead).correlate(
        _functions
    )
    # SQLite has no LATERAL, and PostgreSQL would look for the runs of a function for each run
    found = pick(tx, sqlite=_by_sqlite, postgres=_by_postgresql)(inner)
    return order.merged([found.where(_functions.c.id.in_(ids))])


def _ids(query: RunQuery) -> Query:
    """Select ids of runs that have their event, as a list shows them; the function is there."""
    if query.app_ids is not None:
        return select_runs(("id",))
    return select(runs.c.id).join(EventRow, EventRow.id == runs.c.event_id)


def _by_sqlite(inner: Query) -> Query:
    found = runs.alias("found")
    return select(found.c.id).select_from(_functions).join(found, found.c.id.in_(inner))


def _by_postgresql(inner: Query) -> Query:
    found = inner.lateral("found")
    return select(found.c.id).select_from(_functions).join(found, true())
