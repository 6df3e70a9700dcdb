"""Lists and searches of runs by any of their times, filtered, in pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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

from ...domain.events.event_record import DEFERRED
from ...domain.events.filters import Condition
from ...domain.runs.runs import RunStatus
from ..catalog.functions import App, FunctionRow
from ..db.columns import table_of
from ..db.keyset import Key, after_position, known_or_last, within
from ..db.windows import Window, matching, whole
from ..events.events import EventRow
from ..flow.event_batches import BatchEvent
from ..runs.runs import RunRow
from .conditions import on_columns, on_json

_runs = table_of(RunRow)
_members = table_of(BatchEvent)
# ids sort by creation, as the indexes of statuses and functions do
BY_ID = (Key("id", _runs.c.id),)
TIMES = ("queued_at", "started_at", "ended_at")
_KEYS = {
    "queued_at": _runs.c.queued_at,
    "started_at": known_or_last(_runs.c.started_at),
    "ended_at": known_or_last(_runs.c.ended_at),
}
# columns with large values are read only on request
_LARGE = {"output", "pending", "input", "defers"}
_columns = [column for column in _runs.c if column.name not in _LARGE]
_shown = [
    *_columns,
    FunctionRow.slug.label("function_slug"),
    FunctionRow.app_id.label("app_id"),
    App.name.label("app_name"),
    EventRow.name.label("event_name"),
]


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs to list; `since` (included) and `until` (not) bound `time_field`, one of TIMES."""

    time_field: str = "queued_at"
    since: datetime | None = None
    until: datetime | None = None
    statuses: Sequence[RunStatus] | None = None
    function_ids: Sequence[str] | None = None
    app_ids: Sequence[str] | None = None
    deferred: bool | None = None
    conditions: Sequence[Condition] = ()
    from_id: str | None = None  # no run whose id sorts before it


def order(fields: Sequence[tuple[str, bool]]) -> tuple[Key, ...]:
    """Make keys from (time's name, descending); ids decide between equal times."""
    keys = [Key(name, _KEYS[name], descending) for name, descending in fields]
    return (*keys, Key("id", _runs.c.id, keys[-1].descending))


def position(keys: Sequence[Key], row: RowMapping) -> list[Any]:
    """Read the position of a row of page() in an order."""
    return [row[f"key_{key.name}"] if key.name != "id" else row["id"] for key in keys]


def page(
    tx: Connection,
    query: RunQuery,
    keys: Sequence[Key],
    *,
    limit: int,
    position: Sequence[Any] | None = None,
    values: bool = False,
) -> list[RowMapping]:
    """List runs in an order, after a position.

    With `values`, the event's payload and the output are read for a filter; both are None when the
    event's JSON does not match.
    """
    chosen = _from(select(*_shown))
    chosen = chosen.add_columns(*[key.column.label(f"key_{key.name}") for key in keys[:-1]])
    sorted_by = _sorted_by(query, keys)
    if values:
        fits = on_json(tx, query.conditions)
        payload = EventRow.payload if fits is None else case((fits, EventRow.payload))
        output = _runs.c.output if fits is None else case((fits, _runs.c.output))
        chosen = chosen.add_columns(payload.label("payload"), output.label("output"))
    chosen = _where(chosen, query)
    if position is not None:
        chosen = chosen.where(after_position(sorted_by, position[-len(sorted_by) :]))
    chosen = chosen.order_by(*[key.sort for key in sorted_by]).limit(limit)
    return list(tx.execute(chosen).mappings())


def _sorted_by(query: RunQuery, keys: Sequence[Key]) -> Sequence[Key]:
    """Replace an order by the equal one of an index, if there is one.

    Ids sort as `queued_at` does, and statuses and functions are indexed with ids. A time that the
    query bounds is never null, so the bare column can be used.
    """
    first = keys[0]
    if first.name == "queued_at":
        return (Key("id", _runs.c.id, first.descending),)
    bounded = query.since is not None or query.until is not None
    if bounded and first.name == query.time_field:
        return (Key(first.name, _runs.c[first.name], first.descending), *keys[1:])
    return keys


def search(
    tx: Connection,
    query: RunQuery,
    *,
    limit: int,
    before: str | None,
    text: str | None,
    values: bool,
) -> Window:
    """Look at up to `limit` runs before an id, newest first, and read those that may match.

    A match contains `text`, if given. With `values` it also fits the JSON conditions of the query,
    and its event's payload and its output are read for a filter.
    """
    chosen = select(*_shown)
    hits = [] if text is None else [_holds(text)]
    if values:
        fits = on_json(tx, query.conditions)
        hits += [] if fits is None else [fits]
        hit = and_(true(), *hits)
        payload, output = case((hit, EventRow.payload)), case((hit, _runs.c.output))
        chosen = chosen.add_columns(payload.label("payload"), output.label("output"))
    chosen = _where(_from(chosen), query)
    if before is not None:
        chosen = chosen.where(_runs.c.id < before)
    chosen = chosen.order_by(_runs.c.id.desc()).limit(limit)
    if not hits:
        return whole(tx.execute(chosen).mappings().all())
    return matching(tx, chosen, and_(*hits))


def _holds(text: str) -> ColumnElement[bool]:
    """Write whether a run, its event or its output contains a text, ignoring case."""
    places = (_runs.c.id, FunctionRow.slug, EventRow.name, EventRow.payload, _runs.c.output)
    return or_(*[func.coalesce(place, "").icontains(text, autoescape=True) for place in places])


def count(tx: Connection, query: RunQuery, most: int) -> int:
    """Count the runs that match the conditions on columns, up to `most`."""
    found = _where(_from(select(_runs.c.id)), query).limit(most).subquery()
    total: int = tx.execute(select(func.count()).select_from(found)).scalar_one()
    return total


def _from(chosen: Select[Any]) -> Select[Any]:
    return (
        chosen.select_from(_runs)
        .join(FunctionRow, FunctionRow.id == _runs.c.function_id)
        .join(App, App.id == FunctionRow.app_id)
        .join(EventRow, EventRow.id == _runs.c.event_id)
    )


def _where(chosen: Select[Any], query: RunQuery) -> Select[Any]:
    column = _runs.c[query.time_field]
    if query.since is not None:
        chosen = chosen.where(column >= query.since)
    if query.until is not None:
        chosen = chosen.where(column < query.until)
    if query.time_field == "queued_at":
        chosen = chosen.where(*within(_runs.c.id, query.since, query.until))
    if query.statuses is not None:
        chosen = chosen.where(_runs.c.status.in_([status.value for status in query.statuses]))
    if query.function_ids is not None:
        chosen = chosen.where(_runs.c.function_id.in_(query.function_ids))
    if query.app_ids is not None:
        chosen = chosen.where(FunctionRow.app_id.in_(query.app_ids))
    if query.deferred is not None:
        is_deferred = EventRow.name == DEFERRED
        chosen = chosen.where(is_deferred if query.deferred else ~is_deferred)
    if query.from_id is not None:
        chosen = chosen.where(_runs.c.id >= query.from_id)
    return chosen.where(*on_columns(query.conditions))


def get(tx: Connection, run_id: str) -> RowMapping | None:
    """Find a run as page() shows it, without its output; None when there is none."""
    return tx.execute(_from(select(*_shown)).where(_runs.c.id == run_id)).mappings().first()


def of_events(tx: Connection, event_ids: Sequence[str]) -> dict[str, list[RowMapping]]:
    """List the runs that events started, alone or in an event batch, oldest first, by event."""
    found: dict[str, dict[str, RowMapping]] = {event_id: {} for event_id in event_ids}
    alone = _from(select(*_shown)).where(_runs.c.event_id.in_(event_ids))
    for row in tx.execute(alone).mappings():
        found[row["event_id"]][row["id"]] = row
    batched = _from(select(*_shown, _members.c.event_id.label("member")))
    batched = batched.join(_members, _members.c.batch_id == _runs.c.batch_id)
    batched = batched.where(_runs.c.batch_id.is_not(None), _members.c.event_id.in_(event_ids))
    for row in tx.execute(batched).mappings():
        found[row["member"]][row["id"]] = row
    return {event: [runs[key] for key in sorted(runs)] for event, runs in found.items()}


def outputs(tx: Connection, run_ids: Sequence[str]) -> Mapping[str, str | None]:
    """Read the outputs of runs, as they are stored."""
    query = select(_runs.c.id, _runs.c.output).where(_runs.c.id.in_(run_ids))
    return {row.id: row.output for row in tx.execute(query)}


def scheduled(
    tx: Connection, *, after: str | None, before: str | None, limit: int
) -> list[RowMapping]:
    """List the runs that cron schedules started, with ids between two ids, newest first."""
    chosen = _from(select(*_shown)).where(_runs.c.cron.is_not(None))
    if after is not None:
        chosen = chosen.where(_runs.c.id > after)
    if before is not None:
        chosen = chosen.where(_runs.c.id < before)
    return list(tx.execute(chosen.order_by(_runs.c.id.desc()).limit(limit)).mappings())
