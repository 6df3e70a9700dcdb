"""Choose by which index a list of runs is read: the one that has to read the fewest rows.

A look at so many entries of an index says whether a value is rare: 10,000 take 1 ms.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, func, select

from ....domain.events.filters import Condition
from ....domain.runs.runs import ENDED
from ...db.columns import table_of
from ...db.dialects import is_sqlite
from ...db.row_types import Query
from ...events.events import EventRow
from ...runs import run_search_keys
from ..run_columns import items_of, runs
from .leads import Lead, LeadBy, Pair
from .run_query import RunQuery, names_event

_events = table_of(EventRow)
# a value that more runs have is frequent: to look at so many takes 50 ms
_MOST_LED = 10_000
# of the index of statuses, which has their functions
_MOST_OF_STATUS = 50_000
# the events of a name are looked up one by one, in no order
_MOST_EVENTS = 2_000


def choose(tx: Connection, query: RunQuery) -> Lead:
    """Choose how to read a query: see Lead."""
    key = _leading(tx, query)
    found = Lead(hides=is_sqlite(tx))
    if key is not None:
        return replace(found, key=key, by=LeadBy.KEY, many_items=True)
    if query.error_id is not None or query.event_id is not None:
        return Lead(many_items=True)
    if any(is_rare(tx, one) for one in query.conditions):
        return replace(found, by=LeadBy.EVENT, many_items=True)
    statuses = query.wanted_statuses
    if query.phases is not None and not ENDED.intersection(statuses or ()):
        if not _exceed(tx, items_of(query.phases), _MOST_LED):
            return replace(found, by=LeadBy.PHASE)
        found = replace(found, many_items=True)
    if query.function_ids is None:
        return replace(found, by=None if statuses is None else LeadBy.STATUS)
    if statuses is None:
        return replace(found, by=LeadBy.FUNCTION)
    of_status = select(runs.c.id).where(runs.c.status.in_([one.value for one in statuses]))
    many = _exceed(tx, of_status, _MOST_OF_STATUS)
    return replace(found, by=LeadBy.FUNCTION if many else LeadBy.STATUS)


def is_rare(tx: Connection, condition: Condition) -> bool:
    """Say whether a condition is a name that few events have: their runs are found by it."""
    of_name = select(_events.c.id).where(_events.c.name == condition.value)
    return names_event(condition) and not _exceed(tx, of_name, _MOST_EVENTS)


def can_count(tx: Connection, query: RunQuery) -> bool:
    """Say whether to count a query reads few rows beside those that it finds.

    With search keys it does if one alone decides, or if one of the values is rare.
    """
    if not query.keys or (len(query.keys) == 1 and _is_plain(query)):
        return True
    return _rarest(tx, query.keys)[0] <= _MOST_LED


def _exceed(tx: Connection, query: Query, most: int) -> bool:
    found = query.limit(most + 1).subquery()
    number: int = tx.execute(select(func.count()).select_from(found)).scalar_one()
    return number > most


def _leading(tx: Connection, query: RunQuery) -> Pair | None:
    """Choose the key by whose index a list is read: the rarest of its values.

    None for a query without keys, and for one that has only frequent values beside filters of
    columns: the list is then read by those, and the keys are looked up for each run. SQLite has no
    statistics by which it could choose: of a million runs, such pages took 180 to 320 ms of CPU,
    and take 15 so.
    """
    if not query.keys:
        return None
    is_plain = _is_plain(query)
    if is_plain and len(query.keys) == 1:
        return query.keys[0]
    number, leading = _rarest(tx, query.keys)
    return leading if is_plain or number <= _MOST_LED else None


def _is_plain(query: RunQuery) -> bool:
    """Say whether a query has no filter of columns beside its keys and its span."""
    others = replace(query, keys=(), since=None, until=None, from_id=None, before_id=None)
    return replace(others, text=None, event_prefix=None, looked_up=()) == RunQuery()


def _rarest(tx: Connection, keys: Sequence[Pair]) -> tuple[int, Pair]:
    """Find the key whose value the fewest runs have, with their number, up to _MOST_LED + 1."""
    return min((run_search_keys.count(tx, pair, _MOST_LED + 1), pair) for pair in keys)
