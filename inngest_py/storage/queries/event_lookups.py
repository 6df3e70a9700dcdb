"""Look-ups of events by their ids, and of those of event batches."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, case, func, select

from ..db.columns import table_of
from ..events.events import EventRow
from ..flow.event_batches import BatchEvent
from .event_list import SMALL, WITH_PAYLOAD

_events, _members = table_of(EventRow), table_of(BatchEvent)
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
    """Find events without their payloads, by their ids."""
    found = tx.execute(select(*_small).where(_events.c.id.in_(event_ids))).mappings()
    return {row["id"]: row for row in found}


def payloads(tx: Connection, event_ids: Sequence[str]) -> dict[str, str]:
    """Read the payloads of events, by their ids."""
    query = select(_events.c.id, _events.c.payload).where(_events.c.id.in_(event_ids))
    return {row[0]: row[1] for row in tx.execute(query)}


def small_payloads(tx: Connection, event_ids: Sequence[str], most: int) -> dict[str, str | None]:
    """Read the payloads of events, by their ids; None for one of more than `most` characters."""
    fits = func.length(_events.c.payload) <= most
    query = select(_events.c.id, case((fits, _events.c.payload)))
    return {row[0]: row[1] for row in tx.execute(query.where(_events.c.id.in_(event_ids)))}


def head(tx: Connection, event_id: str, most: int) -> RowMapping | None:
    """Read an event with the first characters of its payload; None when there is none."""
    cut = func.substr(_events.c.payload, 1, most).label("payload")
    size = func.length(_events.c.payload).label("size")
    query = select(*_small, cut, size).where(_events.c.id == event_id)
    return tx.execute(query).mappings().first()


def ids_of_batches(tx: Connection, batch_ids: Sequence[str]) -> dict[str, list[str]]:
    """List the ids of the events of event batches, in order, by batch."""
    query = select(_members.c.batch_id, _members.c.event_id)
    query = query.where(_members.c.batch_id.in_(batch_ids))
    found: dict[str, list[str]] = {}
    for row in tx.execute(query.order_by(_members.c.batch_id, _members.c.position)):
        found.setdefault(row[0], []).append(row[1])
    return found


def first_of_batch(tx: Connection, batch_id: str, limit: int) -> list[RowMapping]:
    """List id and name of an event batch's first events, in order, without deleted ones."""
    query = select(_events.c.id, _events.c.name).join(_members, _events.c.id == _members.c.event_id)
    query = query.where(_members.c.batch_id == batch_id).order_by(_members.c.position)
    return list(tx.execute(query.limit(limit)).mappings())


def size_of_batch(tx: Connection, batch_id: str) -> int:
    """Count the events of an event batch."""
    query = select(func.count()).select_from(_members).where(_members.c.batch_id == batch_id)
    return tx.execute(query).scalar_one()
