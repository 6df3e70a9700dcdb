"""The list of runs: filtered, by any of their times, with the columns that its reader shows."""

from collections.abc import Sequence
from dataclasses import replace

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

from ...domain.runs.runs import RunStatus
from ..catalog.functions import FunctionRow
from ..db.columns import table_of
from ..db.dialects import is_sqlite
from ..db.keyset import Key, known_or_last
from ..db.row_types import AnyColumn, Query
from ..events.events import EventRow
from ..flow.event_batches import BatchEvent
from ..runs.attempts import Attempt
from . import paging
from .conditions import begins, on_columns, on_json
from .paging import Order, Page, Position, Window
from .run_columns import SMALL, runs, select_runs
from .run_filters import choosing
from .run_filters.branches import branches, first_ids, is_branched, window_of
from .run_filters.leads import Lead, LeadBy
from .run_filters.run_query import RunQuery, id_column, where

_members, _attempts = table_of(BatchEvent), table_of(Attempt)
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
    hits += on_columns(query.looked_up)
    fits = on_json(tx, query.conditions) if values else None
    hits += [] if fits is None else [fits]
    hit = and_(*hits) if hits else None
    chosen = select_runs(columns)
    if values:
        large = {"payload": table_of(EventRow).c.payload, "output": runs.c.output}
        chosen = chosen.add_columns(*[_if(hit, large[name]).label(name) for name in large])
    is_split = len(branches(query)) > 1
    lead = Lead() if is_split else choosing.choose(tx, query)
    sort = _sorted_by(query, by, lead)
    if sort[0].name != "id":
        chosen = where(chosen, query, Lead(lead.key))
    elif limit is not None and (is_split or is_branched(query, lead)):
        limit = limit if hit is None else window_of(query, limit)
        chosen = chosen.where(runs.c.id.in_(first_ids(tx, query, lead, sort[0], limit, after)))
    else:
        chosen = where(chosen, query, lead)
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


def _sorted_by(query: RunQuery, by: Order, lead: Lead) -> Sequence[Key]:
    """Replace an order by the equal one of an index, if there is one.

    Ids sort as `queued_at` does, and statuses and functions are indexed with ids. A time that the
    query bounds is never null, so the bare column can be used.
    """
    first = by.keys[0]
    if first.name in ("queued_at", "id"):
        return (Key("id", id_column(lead.key), first.descending),)
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
    found = _up_to(tx, query, select_runs(("id",)), most).subquery()
    total: int = tx.execute(select(func.count()).select_from(found)).scalar_one()
    return total


def count_by_function(tx: Connection, query: RunQuery, most: int) -> dict[str, int]:
    """Count the runs that match the conditions on columns by function, up to `most` in all."""
    found = _up_to(tx, query, select_runs(("id", "function_slug")), most).subquery()
    counted = select(found.c.function_slug, func.count()).group_by(found.c.function_slug)
    return {row[0]: row[1] for row in tx.execute(counted)}


def _up_to(tx: Connection, query: RunQuery, base: Query, most: int) -> Query:
    """Restrict a query of runs to up to `most` that match, in no order."""
    parts = [where(base, one, choosing.choose(tx, one)).limit(most) for one in branches(query)]
    if len(parts) == 1:
        return parts[0]
    found = union_all(*[select(*part.subquery().c) for part in parts]).subquery()
    return select(*found.c).limit(most)


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
    of_others = query.conditions or query.app_ids is not None or query.deferred is not None
    base = select_runs(("id",)) if of_others else select(runs.c.id)
    chosen = _up_to(tx, query, base.add_columns(_is_failed.label("failed")), most)
    return [(row[0], bool(row[1])) for row in tx.execute(chosen)]


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
    by = LeadBy.STATUS if query.function_ids is None else LeadBy.FUNCTION
    found = where(chosen, query, Lead(by=by, hides=is_sqlite(tx))).limit(most).subquery()
    counts = func.count(), func.count(case((found.c.failed, 1)))
    row = tx.execute(select(*counts).select_from(found)).one()
    return row[0], row[1]


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
