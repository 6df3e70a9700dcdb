"""What an operation has selected: the next of it, and how much there is."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from ...domain.errors import Conflict, Invalid, NotFound
from ...domain.events import filters
from ...domain.functions.triggers import EventTrigger
from ...domain.operations.operations import Kind
from ...domain.operations.selections import EventSelection, RunSelection
from ...domain.runs import outputs
from ...domain.runs.runs import LIVE
from ...domain.values import names
from ...storage.catalog import search_keys as indexed_keys
from ...storage.events import events
from ...storage.operations import reruns
from ...storage.queries import event_list, run_list
from ...storage.queries.errors import groups
from ...storage.queries.event_list import EventQuery
from ...storage.queries.run_filters.run_query import RunQuery
from ..admin import run_search
from ..runtime.catalog import Function
from ..runtime.context import Context

# rows that one statement looks at: of runs whose values decide, and of events
_RUN_WINDOW = 500
_EVENT_WINDOW = 2000
# beyond these a count says "more than"
MOST_COUNTED = 100_000
_MOST_SECONDS = 2.0
_MOST_ERROR = 80  # characters of an error in a name


@dataclass(frozen=True, slots=True)
class Found:
    """The next items: `cursor` is the last id looked at. `ended` says that nothing follows it."""

    ids: list[str]
    cursor: str | None
    ended: bool


@dataclass(slots=True)
class Counted:
    """How many items there are, by the slug of their function; not `exact`: there may be more."""

    by_function: Counter[str] = field(default_factory=Counter)
    exact: bool = True

    @property
    def total(self) -> int:
        """How many items there are."""
        return self.by_function.total()


def next_runs(
    ctx: Context, kind: Kind, chosen: RunSelection, before: datetime, cursor: str | None, most: int
) -> Found:
    """Find the next runs, at most `most`, after a run's id. Raises Invalid and NotFound."""
    wanted, window = chosen.filter, most if chosen.is_exact else max(most, _RUN_WINDOW)
    values = wanted is not None and not wanted.exact
    with ctx.db.reading() as tx:
        query = run_query(tx, kind, chosen, before)
        after = None if cursor is None else [cursor]
        found = run_list.look(
            tx,
            query,
            run_list.OLDEST,
            limit=window,
            after=after,
            columns=("id", "status"),
            values=values,
        )
    ids = [
        row["id"]
        for row in found.rows
        if not values
        or (wanted is not None and _fits(ctx, wanted, row["payload"], row["output"], row["status"]))
    ]
    return _first(ids, most, found.last, found.ended)


def _fits(
    ctx: Context, wanted: filters.Filter, payload: str, output: str | None, status: str
) -> bool:
    return wanted.matches(outputs.variables(payload, output, status), ctx.now())


def _first(ids: list[str], most: int, last: object, ended: bool) -> Found:
    """Keep the first items of a window, and say where to go on."""
    if len(ids) > most:
        return Found(ids[:most], ids[most - 1], False)
    end = last[0] if isinstance(last, (list, tuple)) else None
    return Found(ids, None if end is None else str(end), ended)


def run_query(tx: Connection, kind: Kind, chosen: RunSelection, before: datetime) -> RunQuery:
    """Make the query of a selection of runs that were there before a time. Raises NotFound."""
    query = run_search.query_of(tx, chosen)
    if query.function_ids is not None and not query.function_ids:
        of = f" of app {chosen.app}" if chosen.app is not None else ""
        what = "any function" if chosen.function is None else f"function {chosen.function}"
        raise NotFound(f"there is no {what}{of}: name one that is registered")
    if chosen.error is not None:
        error_of(tx, chosen.error, before)
    statuses = query.statuses
    if kind is Kind.CANCEL:
        statuses = [one for one in statuses or list(LIVE) if one in LIVE]
    until = before if chosen.until is None else min(chosen.until, before)
    return replace(query, statuses=statuses, until=until)


def error_of(tx: Connection, error_id: str, now: datetime) -> str:
    """Return what the errors of a group say, for the name of an operation. Raises NotFound."""
    group = groups.get(tx, error_id, now)
    if group is None:
        raise NotFound(f"error {error_id} does not exist: it may have been deleted")
    text = f"{group['name']}: {group['message']}" if group["message"] else str(group["name"])
    line = next(iter(text.splitlines()), "")
    return line if len(line) <= _MOST_ERROR else f"{line[: _MOST_ERROR - 1]}…"


def function_of(ctx: Context, tx: Connection, chosen: EventSelection) -> Function:
    """Find the function that gets the events. Raises NotFound, and Invalid if none can reach it."""
    ctx.catalog.refresh(tx)
    named = chosen.function
    found = ctx.catalog.by_slug.get(named) or ctx.catalog.by_id.get(named)
    if found is None:
        raise NotFound(f"function {named} does not exist, or is archived: name a function by slug")
    if not patterns_of(found, chosen):
        listens = ", ".join(_listens_to(found)) or "no event"
        problem = f"function {found.slug} is started by {listens}"
        raise Invalid(f"{problem}: give events that start it", field="selection.events")
    return found


def _listens_to(function: Function) -> list[str]:
    found = [one.event for one in function.config.triggers if isinstance(one, EventTrigger)]
    return list(dict.fromkeys(found))


def patterns_of(function: Function, chosen: EventSelection) -> list[str]:
    """List the names of the events to read, or what they begin with: the trigger decides later."""
    listens = _listens_to(function)
    if not chosen.events:
        return listens
    return [
        name
        for name in chosen.events
        if any(one in names.patterns(name) or _meets(name, one) for one in listens)
    ]


def _meets(name: str, trigger: str) -> bool:
    """Say whether two patterns have names in common."""
    mine, its = name.rstrip("*"), trigger.rstrip("*")
    if not name.endswith("*"):
        return False
    return its.startswith(mine) or (trigger.endswith("*") and mine.startswith(its))


def next_events(
    ctx: Context, chosen: EventSelection, before: datetime, cursor: str | None, most: int
) -> Found:
    """Find the next events that start the function, at most `most`, after an event's id.

    Raises as function_of() does.
    """
    until = min(chosen.until, before)
    query = EventQuery(since=chosen.since, until=until)
    with ctx.db.reading() as tx:
        function = function_of(ctx, tx, chosen)
        listed = patterns_of(function, chosen)
        if cursor is None:  # else it would begin at the oldest event of all
            from_id = event_list.lowest_id(tx, chosen.since, until)
            if from_id is None:
                return Found([], None, True)
            query = replace(query, from_id=from_id)
        window = event_list.to_replay(tx, query, listed, limit=_EVENT_WINDOW, after=cursor)
    ids, looked_at, found = [row["id"] for row in window.rows], 0, list[str]()
    # all of the window if need be: a function may want one in a hundred of the events
    while len(found) < most and looked_at < len(ids):
        part = ids[looked_at : looked_at + most]
        found += _starting(ctx, function, part)
        looked_at += len(part)
    if len(found) <= most and looked_at < len(ids):
        return Found(found, ids[looked_at - 1], False)
    return _first(found, most, window.last, window.ended)


def _starting(ctx: Context, function: Function, ids: Sequence[str]) -> list[str]:
    """Keep the events that start a function; those of reruns are no events that came."""
    with ctx.db.reading() as tx:
        rows, others = events.by_ids(tx, ids), reruns.events_of_reruns(tx, ids)
    now = ctx.now()
    return [
        one
        for one in ids
        if one in rows
        and one not in others
        and ctx.catalog.starts(function, rows[one]["name"], rows[one]["payload"], now)
    ]


def count(
    ctx: Context, kind: Kind, chosen: RunSelection | EventSelection, before: datetime
) -> Counted:
    """Count what is selected, up to MOST_COUNTED, in two seconds.

    Raises Invalid and NotFound, and Conflict for a search key that older runs do not have yet.
    """
    if isinstance(chosen, RunSelection):
        _check_indexed(ctx, chosen)
    if isinstance(chosen, EventSelection):
        with ctx.db.reading() as tx:
            slug = function_of(ctx, tx, chosen).slug
    elif chosen.is_exact:
        with ctx.db.reading() as tx:
            query = run_query(tx, kind, chosen, before)
            found = Counter(run_list.count_by_function(tx, query, MOST_COUNTED + 1))
        if found.total() <= MOST_COUNTED:
            return Counted(found)
        return Counted(found - Counter({max(found, key=found.__getitem__): 1}), exact=False)
    else:
        slug = chosen.function or ""
    return _walked(ctx, kind, chosen, before, slug)


def _check_indexed(ctx: Context, chosen: RunSelection) -> None:
    names = [name for name, _ in chosen.keys]
    if not names:
        return
    with ctx.db.reading() as tx:
        walking = indexed_keys.unfinished(tx, names)
    for key in walking:
        told = f"{key['done']} of {'its' if key['total'] is None else key['total']} older runs"
        raise Conflict(
            f"selection.keys: {key['name']} is still being indexed ({told}): wait for the others"
        )


def _walked(
    ctx: Context,
    kind: Kind,
    chosen: RunSelection | EventSelection,
    before: datetime,
    slug: str,
) -> Counted:
    """Count what only the values of rows decide, as far as that goes in the time."""
    counted, cursor = Counted(), None
    until = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < until and counted.total < MOST_COUNTED:
        if isinstance(chosen, EventSelection):
            found = next_events(ctx, chosen, before, cursor, 200)
        else:
            found = next_runs(ctx, kind, chosen, before, cursor, _RUN_WINDOW)
        counted.by_function[slug] += len(found.ids)
        if found.ended:
            return counted
        cursor = found.cursor
    counted.exact = False
    return counted
