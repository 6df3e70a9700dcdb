"""The last events of a function and of a name, each with the first characters of its payload."""

from sqlalchemy import Connection, RowMapping, func, select

from ...db.columns import table_of
from ...db.row_types import Query
from ...events.events import EventRow
from ...runs.runs import RunRow

_events, _runs = table_of(EventRow), table_of(RunRow)
LOOKED_AT = 50  # events from which a schema is inferred
MOST_READ = 64 * 1024  # characters of an event that is read for it


def of_function(tx: Connection, function_id: str, most: int) -> RowMapping | None:
    """Read the event of a function's newest run; None when there is none, or it is deleted."""
    newest = select(_runs.c.event_id).where(_runs.c.function_id == function_id)
    newest = newest.order_by(_runs.c.id.desc()).limit(1)
    query = _head(most).where(_events.c.id == newest.scalar_subquery())
    return tx.execute(query).mappings().first()


def of_name(tx: Connection, name: str, most: int, count: int) -> list[RowMapping]:
    """Read the newest events of a name, newest first."""
    query = _head(most).where(_events.c.name == name).order_by(_events.c.id.desc())
    return list(tx.execute(query.limit(count)).mappings())


def _head(most: int) -> Query:
    return select(
        _events.c.id,
        _events.c.name,
        _events.c.received_at,
        func.substr(_events.c.payload, 1, most).label("payload"),
        func.length(_events.c.payload).label("size"),
    )
