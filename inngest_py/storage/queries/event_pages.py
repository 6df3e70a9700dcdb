"""Lists of events by the time of their receipt, filtered, in pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, case, func, select

from ...domain.events.filters import Condition
from ..db.columns import table_of
from ..db.keyset import Key, after_position
from ..events.events import EventRow
from .conditions import on_columns, on_json

ORDER = (Key("received_at", table_of(EventRow).c.received_at), Key("id", table_of(EventRow).c.id))


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events to list; `since` is included, `until` is not."""

    since: datetime | None = None
    until: datetime | None = None
    names: Sequence[str] | None = None
    internal: bool = False
    conditions: Sequence[Condition] = ()


def page(
    tx: Connection, query: EventQuery, *, limit: int, position: Sequence[Any] | None = None
) -> list[RowMapping]:
    """List events, newest first, after the position (received_at, id).

    An event whose JSON does not match has None as payload: its row only shows how far the list was
    read.
    """
    fits = on_json(tx, query.conditions)
    payload = EventRow.payload if fits is None else case((fits, EventRow.payload))
    chosen = select(
        EventRow.id,
        EventRow.external_id,
        EventRow.name,
        EventRow.ts,
        EventRow.received_at,
        EventRow.internal,
        payload.label("payload"),
    )
    chosen = _where(chosen, query)
    if position is not None:
        chosen = chosen.where(after_position(ORDER, position))
    chosen = chosen.order_by(*[key.sort for key in ORDER]).limit(limit)
    return list(tx.execute(chosen).mappings())


def count(tx: Connection, query: EventQuery, most: int) -> int:
    """Count the events that match the conditions on columns, up to `most`."""
    found = _where(select(EventRow.id), query).limit(most).subquery()
    total: int = tx.execute(select(func.count()).select_from(found)).scalar_one()
    return total


def _where(chosen: Select[Any], query: EventQuery) -> Select[Any]:
    if not query.internal:
        chosen = chosen.where(EventRow.internal.is_(False))
    if query.since is not None:
        chosen = chosen.where(EventRow.received_at >= query.since)
    if query.until is not None:
        chosen = chosen.where(EventRow.received_at < query.until)
    if query.names is not None:
        chosen = chosen.where(EventRow.name.in_(query.names))
    return chosen.where(*on_columns(query.conditions))


def between(
    tx: Connection, *, after: str | None, before: str | None, limit: int, internal: bool
) -> list[RowMapping]:
    """List events with ids between two ids, newest first."""
    chosen = select(table_of(EventRow))
    if not internal:
        chosen = chosen.where(EventRow.internal.is_(False))
    if after is not None:
        chosen = chosen.where(EventRow.id > after)
    if before is not None:
        chosen = chosen.where(EventRow.id < before)
    return list(tx.execute(chosen.order_by(EventRow.id.desc()).limit(limit)).mappings())
