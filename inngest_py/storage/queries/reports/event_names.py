"""The names of stored events, with how many came lately and the last one's id.

Names are found by skipping through the index of names and ids: one look-up for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, func, select, union_all

from ....domain.events.user_events import RESERVED
from ....domain.functions.function_config import EventTrigger, config_from_json
from ....domain.values import names as patterns
from ...db.columns import table_of
from ...events.events import EventRow
from .. import function_list

_events = table_of(EventRow)
MOST_NAMES = 1000
MOST_COUNTED = 10_000  # events of a name that are counted


@dataclass(frozen=True, slots=True)
class EventName:
    """A name of stored events, and the id of the last one."""

    name: str
    last_id: str


def every(
    tx: Connection, *, internal: bool = False, most: int = MOST_NAMES
) -> tuple[list[EventName], bool]:
    """List names by their last events, newest first; say whether there are more than `most`.

    Names of the server's own events are listed if `internal` asks for them.
    """
    least = select(func.min(_events.c.name)).scalar_subquery()
    names = select(least.label("name")).cte("names", recursive=True)
    other, newest = _events.alias(), _events.alias()
    following = select(func.min(other.c.name)).where(other.c.name > names.c.name)
    names = names.union_all(
        select(following.correlate(names).scalar_subquery()).where(names.c.name.is_not(None))
    )
    last = select(func.max(newest.c.id)).where(newest.c.name == names.c.name).correlate(names)
    query = select(names.c.name, last.scalar_subquery()).where(names.c.name.is_not(None))
    rows = tx.execute(query.limit(most + 1)).all()
    found = [EventName(row[0], row[1]) for row in rows[:most]]
    if not internal:
        found = [one for one in found if not one.name.startswith(RESERVED)]
    return sorted(found, key=lambda one: one.last_id, reverse=True), len(rows) > most


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
