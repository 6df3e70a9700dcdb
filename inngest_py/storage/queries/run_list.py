"""The list of runs: filtered, by any of their times, with the columns that its reader shows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    case,
    exists,
    false,
    func,
    or_,
    select,
    true,
    union_all,
)

from ...domain.events.event_record import DEFERRED
from ...domain.events.filters import Condition
from ...domain.runs.phases import Phase
from ...domain.runs.runs import ENDED, RunStatus
from ..catalog.functions import FunctionRow
from ..db.columns import table_of
from ..db.keyset import Key, known_or_last, within
from ..db.row_types import AnyColumn, Query
from ..events.events import EventRow
from ..flow.event_batches import BatchEvent
from ..runs import run_search_keys
from ..runs.attempts import Attempt
from ..runs.run_search_keys import RunSearchKey
from . import paging
from .conditions import begins, on_columns, on_json
from .errors.failed_runs import still_failed
from .paging import Order, Page, Position, Window
from .run_columns import SMALL, has_items, in_phases, runs, select_runs, statuses_of

_members, _attempts = table_of(BatchEvent), table_of(Attempt)
_keys = table_of(RunSearchKey)
Pair = tuple[str, str]
# a value that more runs have is frequent: to look at so many takes 50 ms
_MOST_LED = 10_000
_WITHOUT_OUTPUT = ("queued", "running", "cancelled")
# ids sort by creation, as the indexes of statuses and functions do
NEWEST = Order((Key("id", runs.c.id),))
OLDEST = Order((Key("id", runs.c.id, descending=False),))
TIMES = ("queued_at", "started_at", "ended_at")
_KEYS = {
    "queued_at": runs.c.queued_at,
    "started_at": known_or_last(runs.c.started_at),
    "ended_at": known_or_last(runs.c.ended_at),
}


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs to list; `since` (included) and `until` (not) bound `time_field`, one of TIMES."""

    time_field: str = "queued_at"
    since: datetime | None = None
    until: datetime | None = None
    statuses: Sequence[RunStatus] | None = None
    phases: Sequence[Phase] | None = None  # of live runs only those in these phases
    function_ids: Sequence[str] | None = None
    app_ids: Sequence[str] | None = None
    event_id: str | None = None  # runs that this event started, alone or in an event batch
    deferred: bool | None = None
    scheduled: bool = False  # only runs that cron schedules started
    conditions: Sequence[Condition] = ()
    text: str | None = None  # the run, its event, output or errors contain it, ignoring case
    event_prefix: str | None = None  # the event's name begins with it
    error_id: str | None = None  # of this error group, failed, and not run again yet
    from_id: str | None = None  # no run whose id sorts before it
    keys: Sequence[tuple[str, str]] = ()  # search keys and the values that they have
    before_id: str | None = None  # only runs whose ids sort before it


def order(fields: Sequence[tuple[str, bool]]) -> Order:
    """Make an order of (time's name, descending); ids decide between equal times."""
    keys = [Key(name, _KEYS[name], descending) for name, descending in fields]
    return Order((*keys, Key("id", runs.c.id, keys[-1].descending)))


def look(
    tx: Connection,
    query: RunQuery,
    by: Order = NEWEST,
    *,
    limit: int | None,
    after: Position | None = None,
    columns: Sequence[str] = SMALL,
    values: bool = False,
) -> Window:
    """Look at up to `limit` runs after a position, and read those that may match.

    With `values`, the JSON conditions of the query count too, and `payload` and `output` are read
    for a filter.
    """
    hits = [] if query.text is None else [_holds(query.text)]
    if query.event_prefix is not None:
        hits.append(begins(table_of(EventRow).c.name, query.event_prefix))
    fits = on_json(tx, query.conditions) if values else None
    hits += [] if fits is None else [fits]
    hit = and_(*hits) if hits else None
    chosen = select_runs(columns)
    if values:
        large = {"payload": table_of(EventRow).c.payload, "output": runs.c.output}
        chosen = chosen.add_columns(*[_if(hit, large[name]).label(name) for name in large])
    leading = _leading(tx, query)
    sort = _sorted_by(query, by, leading)
    chosen = _where(chosen, query, leading)
    return paging.look(tx, chosen, by, limit=limit, after=after, hit=hit, sort=sort)


def _if(hit: ColumnElement[bool] | None, column: AnyColumn) -> AnyColumn:
    """Write a large column that is read only from rows that match."""
    return column if hit is None else case((hit, column))


def page(
    tx: Connection,
    query: RunQuery,
    by: Order = NEWEST,
    *,
    first: int,
    after: Position | None = None,
    columns: Sequence[str] = SMALL,
) -> Page:
    """List the first runs after a position."""

    def fetch(start: Position | None, limit: int) -> Window:
        return look(tx, query, by, limit=limit, after=start, columns=columns)

    return paging.page(fetch, by, first=first, after=after)


def of_event(tx: Connection, event_id: str, columns: Sequence[str] = SMALL) -> Sequence[RowMapping]:
    """List all runs that an event started, alone or in an event batch, oldest first."""
    return look(tx, RunQuery(event_id=event_id), OLDEST, limit=None, columns=columns).rows


def _sorted_by(query: RunQuery, by: Order, leading: Pair | None) -> Sequence[Key]:
    """Replace an order by the equal one of an index, if there is one.

    Ids sort as `queued_at` does, and statuses and functions are indexed with ids. A time that the
    query bounds is never null, so the bare column can be used.
    """
    first = by.keys[0]
    if first.name in ("queued_at", "id"):
        return (Key("id", _id(leading), first.descending),)
    bounded = query.since is not None or query.until is not None
    if bounded and first.name == query.time_field:
        return (Key(first.name, runs.c[first.name], first.descending), *by.keys[1:])
    return by.keys


def _holds(text: str) -> ColumnElement[bool]:
    """Write whether a run, its event, output or errors contain a text, ignoring case.

    The errors are those of a run without an output: of one that is tried again, or was cancelled.
    """
    places = (runs.c.id, FunctionRow.slug, EventRow.name, EventRow.payload, runs.c.output)
    mine = _attempts.c.run_id == runs.c.id
    failed = exists().where(mine, _attempts.c.error.icontains(text, autoescape=True))
    return or_(
        *[func.coalesce(place, "").icontains(text, autoescape=True) for place in places],
        case((runs.c.status.in_(_WITHOUT_OUTPUT), failed), else_=false()),
    )


def count(tx: Connection, query: RunQuery, most: int) -> int:
    """Count the runs that match the conditions on columns, up to `most`."""
    found = _where(select_runs(("id",)), query, _leading(tx, query)).limit(most).subquery()
    total: int = tx.execute(select(func.count()).select_from(found)).scalar_one()
    return total


def count_by_function(tx: Connection, query: RunQuery, most: int) -> dict[str, int]:
    """Count the runs that match the conditions on columns by function, up to `most` in all."""
    found = (
        _where(select_runs(("id", "function_slug")), query, _leading(tx, query))
        .limit(most)
        .subquery()
    )
    counted = select(found.c.function_slug, func.count()).group_by(found.c.function_slug)
    return {row[0]: row[1] for row in tx.execute(counted)}


def by_index(query: RunQuery) -> RunQuery:
    """Keep of a query what the indexes hold of a run: its status, its function and its id."""
    return RunQuery(
        statuses=query.statuses,
        function_ids=query.function_ids,
        from_id=query.from_id,
        before_id=query.before_id,
    )


def oldest(tx: Connection) -> str | None:
    """Return the id of the oldest run of all; None without runs."""
    found: str | None = tx.execute(select(func.min(runs.c.id))).scalar()
    return found


_is_failed = runs.c.status == RunStatus.FAILED.value


def outcomes(tx: Connection, query: RunQuery, most: int) -> list[tuple[str, bool]]:
    """List the ids of up to `most` runs, in no order, and whether each has failed."""
    chosen = _where(select(runs.c.id, _is_failed), query, _leading(tx, query)).limit(most)
    return [(row[0], bool(row[1])) for row in tx.execute(chosen)]


def can_count(tx: Connection, query: RunQuery) -> bool:
    """Say whether outcomes() reads few rows beside those that it finds.

    With search keys it does if one alone decides, or if one of the values is rare.
    """
    if not query.keys or (len(query.keys) == 1 and _is_plain(query)):
        return True
    return _rarest(tx, query.keys)[0] <= _MOST_LED


def count_by_index(tx: Connection, query: RunQuery, most: int) -> tuple[int, int]:
    """Count up to `most` runs of a query of by_index(), and those of them that have failed.

    Reads entries of one index alone, or of two where no status and no function is asked for: the
    index of ids does not have the status.
    """
    if query.statuses is not None or query.function_ids is not None:
        return _tally(tx, query, _is_failed, most)
    failures = replace(query, statuses=[RunStatus.FAILED])
    all_of_them, _ = _tally(tx, query, false(), most)
    return all_of_them, _tally(tx, failures, true(), most)[1]


def _tally(
    tx: Connection, query: RunQuery, failed: ColumnElement[bool], most: int
) -> tuple[int, int]:
    chosen = select(failed.label("failed")).select_from(runs)
    found = _where(chosen, query, _leading(tx, query)).limit(most).subquery()
    counts = func.count(), func.count(case((found.c.failed, 1)))
    row = tx.execute(select(*counts).select_from(found)).one()
    return row[0], row[1]


def _where(chosen: Query, query: RunQuery, leading: Pair | None) -> Query:
    column = runs.c[query.time_field]
    if query.since is not None:
        chosen = chosen.where(column >= query.since)
    if query.until is not None:
        chosen = chosen.where(column < query.until)
    if query.time_field == "queued_at":
        chosen = chosen.where(*within(_id(leading), query.since, query.until))
    statuses = query.statuses
    if query.phases is not None:
        statuses = statuses_of(query.phases, statuses)
        chosen = chosen.where(in_phases(query.phases))
        if not ENDED.intersection(statuses):
            chosen = chosen.where(has_items(query.phases))
    if statuses is not None:
        chosen = chosen.where(runs.c.status.in_([status.value for status in statuses]))
    if query.function_ids is not None:
        chosen = chosen.where(runs.c.function_id.in_(query.function_ids))
    if query.app_ids is not None:
        chosen = chosen.where(FunctionRow.app_id.in_(query.app_ids))
    if query.event_id is not None:
        chosen = chosen.where(runs.c.id.in_(_started_by(query.event_id)))
    if query.deferred is not None:
        is_deferred = EventRow.name == DEFERRED
        chosen = chosen.where(is_deferred if query.deferred else ~is_deferred)
    if query.scheduled:
        chosen = chosen.where(runs.c.cron.is_not(None))
    if query.error_id is not None:
        chosen = chosen.where(*still_failed(query.error_id))
    if query.from_id is not None:
        chosen = chosen.where(_id(leading) >= query.from_id)
    if query.before_id is not None:
        chosen = chosen.where(_id(leading) < query.before_id)
    return chosen.where(*_has_keys(query, leading), *on_columns(query.conditions))


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
    return replace(others, text=None, event_prefix=None) == RunQuery()


def _rarest(tx: Connection, keys: Sequence[Pair]) -> tuple[int, Pair]:
    """Find the key whose value the fewest runs have, with their number, up to _MOST_LED + 1."""
    return min((run_search_keys.count(tx, pair, _MOST_LED + 1), pair) for pair in keys)


def _id(leading: Pair | None) -> AnyColumn:
    """Give the column by which a list is read in the order of ids.

    If a search key leads, this is the key's own: its index has the runs of a value in that order.
    """
    return runs.c.id if leading is None else _keys.c.run_id


def _has_keys(query: RunQuery, leading: Pair | None) -> list[ColumnElement[bool]]:
    """Write that runs have the values: that of the leading key, and others by a look-up."""
    others = [run_search_keys.has(runs.c.id, *pair) for pair in query.keys if pair != leading]
    if leading is None:
        return others
    name, value = leading
    return [_keys.c.run_id == runs.c.id, _keys.c.key == name, _keys.c.value == value, *others]


def _started_by(event_id: str) -> Query:
    """Select the ids of the runs that an event started, each part by an index of its own."""
    alone = select(runs.c.id).where(runs.c.event_id == event_id)
    batched = select(runs.c.id).join(_members, _members.c.batch_id == runs.c.batch_id)
    batched = batched.where(runs.c.batch_id.is_not(None), _members.c.event_id == event_id)
    started = union_all(alone, batched).subquery()
    return select(started.c.id)


def of_events(tx: Connection, event_ids: Sequence[str]) -> dict[str, list[RowMapping]]:
    """List the runs that events started, alone or in an event batch, oldest first, by event."""
    found: dict[str, dict[str, RowMapping]] = {event_id: {} for event_id in event_ids}
    alone = select_runs(SMALL).where(runs.c.event_id.in_(event_ids))
    for row in tx.execute(alone).mappings():
        found[row["event_id"]][row["id"]] = row
    batched = select_runs(SMALL).add_columns(_members.c.event_id.label("member"))
    batched = batched.join(_members, _members.c.batch_id == runs.c.batch_id)
    batched = batched.where(runs.c.batch_id.is_not(None), _members.c.event_id.in_(event_ids))
    for row in tx.execute(batched).mappings():
        found[row["member"]][row["id"]] = row
    return {event: [started[key] for key in sorted(started)] for event, started in found.items()}
