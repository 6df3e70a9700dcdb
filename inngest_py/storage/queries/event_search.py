"""Lists and searches of events in the order of their ids, which is that of their receipt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    case,
    func,
    or_,
    select,
    true,
)

from ...domain.events.filters import Condition
from ..db.columns import table_of
from ..db.windows import Window, matching, whole
from ..events.events import EventRow
from .conditions import on_columns, on_json

_events = table_of(EventRow)
_shown = (
    _events.c.id,
    _events.c.external_id,
    _events.c.name,
    _events.c.ts,
    _events.c.received_at,
    _events.c.internal,
)


@dataclass(frozen=True, slots=True)
class EventSearch:
    """Which events to list; ids bound the time: `from_id` is included, `before_id` is not."""

    from_id: str | None = None
    before_id: str | None = None
    name: str | None = None
    internal: bool = False
    conditions: Sequence[Condition] = ()


def page(
    tx: Connection,
    search: EventSearch,
    *,
    limit: int,
    text: str | None = None,
    values: bool = False,
) -> Window:
    """Look at up to `limit` events, newest first, and read those that may match.

    A match contains `text`, if given. With `values` it also fits the JSON conditions of the search,
    and its payload is read for a filter.
    """
    chosen: Select[Any] = select(*_shown)
    hits = [] if text is None else [_holds(text)]
    if values:
        fits = on_json(tx, search.conditions)
        hits += [] if fits is None else [fits]
        payload = case((and_(true(), *hits), EventRow.payload))
        chosen = chosen.add_columns(payload.label("payload"))
    chosen = _where(chosen, search).order_by(_events.c.id.desc()).limit(limit)
    if not hits:
        return whole(tx.execute(chosen).mappings().all())
    return matching(tx, chosen, and_(*hits))


def _holds(text: str) -> ColumnElement[bool]:
    places = (_events.c.id, _events.c.external_id, _events.c.name, _events.c.payload)
    return or_(*[place.icontains(text, autoescape=True) for place in places])


def _where(chosen: Select[Any], search: EventSearch) -> Select[Any]:
    if not search.internal:
        chosen = chosen.where(EventRow.internal.is_(False))
    if search.from_id is not None:
        chosen = chosen.where(_events.c.id >= search.from_id)
    if search.before_id is not None:
        chosen = chosen.where(_events.c.id < search.before_id)
    if search.name is not None:
        chosen = chosen.where(_events.c.name == search.name)
    return chosen.where(*on_columns(search.conditions))


def head(tx: Connection, event_id: str, most: int) -> RowMapping | None:
    """Read an event with the first characters of its payload; None when there is none."""
    cut = func.substr(_events.c.payload, 1, most).label("payload")
    size = func.length(_events.c.payload).label("size")
    query = select(*_shown, cut, size).where(_events.c.id == event_id)
    return tx.execute(query).mappings().first()
