"""Look-ups of events by their ids."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, func, select

from ..db.columns import table_of
from ..events.events import EventRow
from .event_lists import SMALL, WITH_PAYLOAD

_events = table_of(EventRow)
_small = [_events.c[name] for name in SMALL]
_whole = [_events.c[name] for name in WITH_PAYLOAD]


def get(tx: Connection, event_id: str) -> RowMapping | None:
    """Find an event with its payload; None when there is none."""
    return tx.execute(select(*_whole).where(_events.c.id == event_id)).mappings().first()


def exists(tx: Connection, event_id: str) -> bool:
    """Say whether an event is stored."""
    query = select(_events.c.id).where(_events.c.id == event_id)
    return tx.execute(query).first() is not None


def by_ids(tx: Connection, event_ids: Sequence[str]) -> dict[str, RowMapping]:
    """Find events with their payloads, by their ids."""
    found = tx.execute(select(*_whole).where(_events.c.id.in_(event_ids))).mappings()
    return {row["id"]: row for row in found}


def head(tx: Connection, event_id: str, most: int) -> RowMapping | None:
    """Read an event with the first characters of its payload; None when there is none."""
    cut = func.substr(_events.c.payload, 1, most).label("payload")
    size = func.length(_events.c.payload).label("size")
    query = select(*_small, cut, size).where(_events.c.id == event_id)
    return tx.execute(query).mappings().first()
