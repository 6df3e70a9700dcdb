"""Subscriptions: events that would cancel runs (`cancelOn`), rows beside those of waits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Text, bindparam, delete, select

from ...domain.steps.waits import WaitKind
from ..db.columns import Timestamp, table_of
from ..db.statements import ManyRows
from .waits import WaitRow

_waits = table_of(WaitRow)
_CANCELS = _waits.c.kind == WaitKind.CANCEL.value
Lookup = tuple[str, str, str]  # event name, path and key of the index


@dataclass(frozen=True, slots=True)
class OpenSubscription:
    """A subscription of a run that an event may cancel; the expression decides."""

    id: str
    run_id: str
    expression: str | None
    expires_at: datetime


_listening = ManyRows(
    {"name": Text(), "path": Text(), "key": Text()},
    lambda v: select(v.name, v.path, v.key).where(
        select(_waits.c.id)
        .where(
            _waits.c.event_name == v.name,
            _waits.c.lookup_path == v.path,
            _waits.c.lookup_key == v.key,
            _CANCELS,
        )
        .correlate_except(_waits)
        .exists()
    ),
)


def listening(tx: Connection, lookups: Iterable[Lookup]) -> set[Lookup]:
    """Say for which of the look-ups there are runs that an event might cancel."""
    rows = sorted(set(lookups))
    return {(row[0], row[1], row[2]) for row in _listening.run(tx, rows)} if rows else set()


_page = (
    select(_waits.c.id, _waits.c.run_id, _waits.c.expression, _waits.c.expires_at)
    .where(
        _waits.c.event_name == bindparam("name"),
        _waits.c.lookup_path == bindparam("path"),
        _waits.c.lookup_key == bindparam("key"),
        _waits.c.id > bindparam("after"),
        # An event cancels no run that was made after it, or by it (waits.md §7.1). Ids cannot say
        # that: the event's id may hold a time of its sender's clock.
        _waits.c.created_at < bindparam("received_at", type_=Timestamp()),
        _CANCELS,
    )
    .order_by(_waits.c.id)
    .limit(bindparam("most"))
)


def page(
    tx: Connection, lookup: Lookup, received_at: datetime, *, after: str, limit: int
) -> list[OpenSubscription]:
    """List the look-up's subscriptions that are older than the event, after the id `after`."""
    name, path, key = lookup
    values = {"name": name, "path": path, "key": key, "after": after, "received_at": received_at}
    return [OpenSubscription(*row) for row in tx.execute(_page, values | {"most": limit})]


_drop = delete(_waits).where(_waits.c.id.in_(bindparam("ids", expanding=True)))


def drop(tx: Connection, ids: Sequence[str]) -> None:
    """Delete subscriptions of runs that have ended already."""
    if ids:
        tx.execute(_drop, {"ids": list(ids)})
