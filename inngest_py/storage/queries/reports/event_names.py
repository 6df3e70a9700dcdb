"""The names of stored events, with how many came lately and the last one's id.

Names are found by skipping through the index of names and ids: one look-up for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, func, select, union_all

from ....domain.events.user_events import RESERVED
from ....domain.functions.function_config import EventTrigger, config_from_json
from ....domain.values import cursors
from ....domain.values import names as patterns
from ...db.columns import table_of
from ...db.row_types import Record
from ...events.events import EventRow
from .. import function_list

_events = table_of(EventRow)
LAST_SEEN, NAME = "last_seen", "name"  # orders of the list
MOST_NAMES = 1000  # that one look goes through
MOST_COUNTED = 10_000  # events of a name that are counted


@dataclass(frozen=True, slots=True)
class EventName:
    """A name of stored events, and the id of the last one."""

    name: str
    last_id: str


@dataclass(frozen=True, slots=True)
class EventNames:
    """A page of a list of names; `cursor` is that of the next page, None at the end of the list.

    With `more`, there are names that this order leaves out: see newest_first().
    """

    names: list[EventName]
    cursor: str | None
    more: bool = False


def newest_first(
    tx: Connection, cursor: str | None, limit: int, *, internal: bool = False, wanted: str = ""
) -> EventNames:
    """List a page of names by their last events, newest first: of the first 1,000 by the alphabet.

    `wanted` is a part of the names, in lower case. All pages show what was there at the first: an
    event that comes meanwhile moves no name. Raises Invalid for a cursor of another list.
    """
    if cursor:
        until, after = cursors.decode(LAST_SEEN, [str, str], cursor, "cursor")
    else:
        until, after = tx.execute(select(func.max(_events.c.id))).scalar(), None
    if until is None:
        return EventNames([], None)
    names, more = every(tx, internal=internal, most=MOST_NAMES, until=until)
    matching = [one for one in names if wanted in one.name.lower()]
    left = [one for one in matching if after is None or one.last_id < after]
    shown = left[:limit]
    if len(left) <= limit:
        return EventNames(shown, None, more)
    return EventNames(shown, cursors.encode(LAST_SEEN, [until, shown[-1].last_id]), more)


def by_name(
    tx: Connection, cursor: str | None, limit: int, *, internal: bool = False, wanted: str = ""
) -> EventNames:
    """List a page of names by the alphabet; else as newest_first(), but this leaves none out.

    A look goes through 1,000 names; a page may be short, or empty, while the next one is not.
    """
    [after] = cursors.decode(NAME, [str], cursor, "cursor") if cursor else [None]
    looked_at = _names(tx, MOST_NAMES, after=after)
    matching = [
        EventName(*one)
        for one in looked_at
        if (internal or not one.name.startswith(RESERVED)) and wanted in one.name.lower()
    ]
    shown = matching[:limit]
    end = None
    if len(matching) > limit:
        end = shown[-1].name
    elif len(looked_at) == MOST_NAMES:
        end = looked_at[-1].name
    return EventNames(shown, None if end is None else cursors.encode(NAME, [end]))


ORDERS = {LAST_SEEN: newest_first, NAME: by_name}


def every(
    tx: Connection, *, internal: bool = False, most: int = MOST_NAMES, until: str | None = None
) -> tuple[list[EventName], bool]:
    """List names by their last events, newest first; say whether there are more than `most`.

    Names of the server's own events are listed if `internal` asks for them. With `until`, later
    events are not seen.
    """
    rows = _names(tx, most + 1, until=until)
    found = [EventName(*row) for row in rows[:most] if row.last_id is not None]
    if not internal:
        found = [one for one in found if not one.name.startswith(RESERVED)]
    return sorted(found, key=lambda one: one.last_id, reverse=True), len(rows) > most


def _names(
    tx: Connection, limit: int, *, after: str | None = None, until: str | None = None
) -> list[Record]:
    """List names by the alphabet: `name` and `last_id`, None for one that came after `until`."""
    least = select(func.min(_events.c.name))
    if after is not None:
        least = least.where(_events.c.name > after)
    names = select(least.scalar_subquery().label("name")).cte("names", recursive=True)
    other, newest = _events.alias(), _events.alias()
    following = select(func.min(other.c.name)).where(other.c.name > names.c.name)
    names = names.union_all(
        select(following.correlate(names).scalar_subquery()).where(names.c.name.is_not(None))
    )
    last = select(func.max(newest.c.id)).where(newest.c.name == names.c.name).correlate(names)
    if until is not None:
        last = last.where(newest.c.id <= until)
    query = select(names.c.name, last.scalar_subquery().label("last_id"))
    return list(tx.execute(query.where(names.c.name.is_not(None)).limit(limit)))


def counts(
    tx: Connection, names: Sequence[str], from_id: str, most: int = MOST_COUNTED
) -> dict[str, int]:
    """Count the events of each name from an id on, up to `most` of each."""
    if not names:
        return {}
    parts = []
    for place, name in enumerate(names):
        some = select(_events.c.name).where(_events.c.name == name, _events.c.id >= from_id)
        counted = some.limit(most).subquery(f"some_{place}")
        parts.append(select(func.max(counted.c.name).label("name"), func.count().label("events")))
    found = {row[0]: row[1] for row in tx.execute(union_all(*parts))}
    return {name: found.get(name, 0) for name in names}


def triggered(tx: Connection, names: Sequence[str]) -> dict[str, list[RowMapping]]:
    """List the functions that events of each name may start, by slug, without archived ones."""
    listening: dict[str, list[RowMapping]] = {}
    for row in function_list.every(tx, archived=False):
        for trigger in config_from_json(row["config"]).triggers:
            if isinstance(trigger, EventTrigger):
                listening.setdefault(trigger.event, []).append(row)
    found = {}
    for name in names:
        rows = [row for one in patterns.patterns(name) for row in listening.get(one, ())]
        found[name] = sorted({row["slug"]: row for row in rows}.values(), key=_slug)
    return found


def _slug(row: RowMapping) -> str:
    slug: str = row["slug"]
    return slug
