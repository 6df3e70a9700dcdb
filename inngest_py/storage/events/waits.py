"""Open waits, and the subscriptions that cancel runs: rows of one table.

A wait is consumed by the transaction that deletes its row. Order of locks: runs' rows, then waits
by id, then items.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Boolean,
    Connection,
    Index,
    RowMapping,
    Text,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from ...domain.steps.waits import WaitKind
from ..db.columns import Base, Timestamp, table_of
from ..db.dialects import is_sqlite
from ..db.row_types import GivenRow, Query, RowValues
from ..db.session import skip_locked
from ..db.statements import InsertNew, ManyRows, PerRow, given_row

# How many waits of one event a transaction looks at. An event with more gets a transaction for each
# page of this size.
MOST_AT_ONCE = 256
# How many waits of all its events a transaction looks at. When each event of 500 with one wait was
# left to a transaction of its own, the runs took 2 s to continue.
MOST_TOGETHER = 1024


class WaitRow(Base):
    """An open wait, or a subscription that cancels a run and has no step and no item.

    `event_name` is None when no event can match. `expression` is the condition with the values of
    the run's event filled in. `lookup_path` and `lookup_key` are the equality in it that the index
    holds, "" without one. `item_id` is the queue item that is due at `expires_at`.
    """

    __tablename__ = "waits"
    __table_args__ = (
        # serves paths(), candidates() and page()
        Index("waits_lookup_idx", "event_name", "lookup_path", "lookup_key", "id"),
        # allows one wait per signal; serves consume_signal()
        Index("waits_signal_key", "signal", unique=True),
        # serves drop_runs(), and runs.end(), which asks whether the run has waits
        Index("waits_run_idx", "run_id"),
        # serves forget()
        Index("waits_expires_idx", "expires_at"),
    )
    id: Mapped[str] = mapped_column(Text, primary_key=True)  # UUIDv5 of run and step
    kind: Mapped[str] = mapped_column(Text)
    run_id: Mapped[str] = mapped_column(Text)
    step: Mapped[str | None] = mapped_column(Text)
    event_name: Mapped[str | None] = mapped_column(Text)
    expression: Mapped[str | None] = mapped_column(Text)
    lookup_path: Mapped[str] = mapped_column(Text, server_default="")
    lookup_key: Mapped[str] = mapped_column(Text, server_default="")
    signal: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(Text)  # the event that started the run
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    expires_at: Mapped[datetime] = mapped_column(Timestamp)
    item_id: Mapped[str | None] = mapped_column(Text)


_waits = table_of(WaitRow)
_add = InsertNew(_waits, "id")


def add(tx: Connection, rows: Sequence[RowValues]) -> set[str]:
    """Write waits; return the ids of those that are new and whose signal has no other wait."""
    return {row.id for row in _add.fresh(tx, rows)} if rows else set()


_free = (
    update(_waits)
    .where(
        _waits.c.signal == bindparam("name"),
        or_(_waits.c.expires_at <= bindparam("now"), bindparam("replaces", type_=Boolean())),
    )
    .values(signal=None)
)


def free_signal(tx: Connection, signal: str, now: datetime, *, replaces: bool) -> None:
    """Take a signal from its wait if that has expired, or, with `replaces`, in any case.

    The wait stays, and ends by its time-out.
    """
    tx.execute(_free, {"name": signal, "now": now, "replaces": replaces})


def _distinct_paths(v: GivenRow) -> Query:
    """Select the paths of an event name, skipping through the index: one look-up per path."""
    first, following = _waits.alias(), _waits.alias()
    least = select(func.min(first.c.lookup_path)).where(first.c.event_name == v.name)
    paths = select(v.name.label("name"), least.scalar_subquery().label("path")).cte(
        "paths", recursive=True
    )
    after = select(func.min(following.c.lookup_path)).where(
        following.c.event_name == paths.c.name, following.c.lookup_path > paths.c.path
    )
    paths = paths.union_all(
        select(paths.c.name, after.correlate(paths).scalar_subquery()).where(
            paths.c.path.is_not(None)
        )
    )
    return select(paths.c.name, paths.c.path).where(paths.c.path.is_not(None))


_paths = ManyRows({"name": Text()}, _distinct_paths)
_paths_of_one = PerRow(_distinct_paths(given_row(["name"])), ["name"])


def paths(tx: Connection, names: Iterable[str]) -> list[tuple[str, str]]:
    """List (event name, look-up path) of the waits on these events, each pair once."""
    given = [(name,) for name in names]
    found = _paths_of_one.run(tx, given) if is_sqlite(tx) else _paths.run(tx, given)
    return [(row.name, row.path) for row in found]


@dataclass(frozen=True, slots=True)
class OpenWait:
    """A wait that an event may end; its expression decides."""

    id: str
    event_name: str
    lookup_path: str
    lookup_key: str
    expression: str | None
    created_by: str
    created_at: datetime
    expires_at: datetime


_shown = (
    _waits.c.id,
    _waits.c.event_name,
    _waits.c.lookup_path,
    _waits.c.lookup_key,
    _waits.c.expression,
    _waits.c.created_by,
    _waits.c.created_at,
    _waits.c.expires_at,
)
_OF_STEPS = _waits.c.kind.in_([WaitKind.EVENT.value, WaitKind.INVOKE.value])
_candidates = ManyRows(
    {"name": Text(), "path": Text(), "key": Text()},
    lambda v: (
        select(*_shown)
        .where(
            _waits.c.event_name == v.name,
            _waits.c.lookup_path == v.path,
            _waits.c.lookup_key == v.key,
            _OF_STEPS,
        )
        .limit(MOST_TOGETHER + 1)
    ),
)


def candidates(tx: Connection, lookups: Iterable[tuple[str, str, str]]) -> list[OpenWait] | None:
    """List the waits for (event name, path, key) look-ups; None for more than MOST_TOGETHER."""
    rows = sorted(set(lookups))
    if not rows:
        return []
    found = [OpenWait(*row) for row in _candidates.run(tx, rows)]
    return None if len(found) > MOST_TOGETHER else found


_page = (
    select(*_shown)
    .where(
        _waits.c.event_name == bindparam("name"),
        _waits.c.lookup_path == bindparam("path"),
        _waits.c.lookup_key == bindparam("key"),
        _waits.c.id > bindparam("after"),
        _OF_STEPS,
    )
    .order_by(_waits.c.id)
    .limit(MOST_AT_ONCE)
)


def page(tx: Connection, lookup: tuple[str, str, str], after: str) -> list[OpenWait]:
    """List waits for one (event name, path, key), at most MOST_AT_ONCE, after the id `after`."""
    name, path, key = lookup
    found = tx.execute(_page, {"name": name, "path": path, "key": key, "after": after})
    return [OpenWait(*row) for row in found]


# Locked in the order of their ids, so that two transactions that consume some of the same waits
# cannot deadlock.
_take = (
    delete(_waits)
    .where(
        _waits.c.id.in_(
            select(_waits.c.id)
            .where(_waits.c.id.in_(bindparam("ids", expanding=True)))
            .order_by(_waits.c.id)
            .with_for_update()
        )
    )
    .returning(_waits.c.id, _waits.c.item_id)
)


def consume(tx: Connection, ids: Iterable[str]) -> dict[str, str | None]:
    """Consume waits; return the items of those that were still open, by wait id."""
    wanted = list(ids)
    if not wanted:
        return {}
    return {row.id: row.item_id for row in tx.execute(_take, {"ids": wanted})}


_take_signal = (
    delete(_waits)
    .where(_waits.c.signal == bindparam("name"), _waits.c.expires_at > bindparam("now"))
    .returning(_waits.c.run_id, _waits.c.item_id)
)


def consume_signal(tx: Connection, signal: str, now: datetime) -> tuple[str, str] | None:
    """Consume the wait for a signal; return its run and its item, None when there is no wait."""
    row = tx.execute(_take_signal, {"name": signal, "now": now}).first()
    return None if row is None else (row.run_id, row.item_id)


_drop = delete(_waits).where(
    _waits.c.id.in_(
        select(_waits.c.id)
        .where(_waits.c.run_id.in_(bindparam("runs", expanding=True)))
        .order_by(_waits.c.id)
        .with_for_update()
    )
)


def drop_runs(tx: Connection, run_ids: Sequence[str]) -> None:
    """Delete the waits of runs that have ended."""
    if run_ids:
        tx.execute(_drop, {"runs": list(run_ids)})


def expire(tx: Connection, wait_id: str, now: datetime) -> None:
    """Let a wait expire now if it would later: no event or signal ends it any more."""
    later = (_waits.c.id == wait_id, _waits.c.expires_at > now)
    tx.execute(update(_waits).where(*later).values(expires_at=now))


def forget(tx: Connection, before: datetime, limit: int) -> int:
    """Delete waits that expired before a time and were never consumed, at most `limit`."""
    old = skip_locked(
        tx,
        select(_waits.c.id)
        .where(_waits.c.expires_at < before)
        .order_by(_waits.c.expires_at)
        .limit(limit),
    )
    return tx.execute(delete(_waits).where(_waits.c.id.in_(old))).rowcount


def of_run(tx: Connection, run_id: str) -> list[RowMapping]:
    """List a run's open waits, oldest first."""
    query = select(_waits).where(_waits.c.run_id == run_id).order_by(_waits.c.created_at)
    return list(tx.execute(query).mappings())
