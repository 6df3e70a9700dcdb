"""Slots of concurrency: counted from the leased items and the running runs of a group.

A group is one key of one limit. A transaction that gives out slots locks the group's row in
`buckets` until it ends. So two claims cannot take the same slot, and no item joins a waiting line
while another transaction empties it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Table,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
    update,
)

from ...domain.flow.slots import PREFIXES, SlotGroup, Slots
from ...domain.runs.items import ItemKind, ItemState
from ...domain.runs.runs import RunStatus
from ..db.columns import table_of
from ..db.row_types import ColumnTypes, GivenRow, Query, Record
from ..db.session import skip_locked
from ..db.statements import AfterLock, ManyRows, SingleValue
from ..flow import buckets
from ..runs.runs import RunRow
from . import waiting_lines
from .queue_items import QueueItem

_items = table_of(QueueItem)
_runs = table_of(RunRow)
_MOST_IN_LINE = 32


def _count(v: GivenRow, table: Table, *conditions: ColumnElement[bool]) -> ColumnElement[int]:
    return select(func.count()).select_from(table).where(*conditions).scalar_subquery()


def _looked(v: GivenRow) -> Query:
    leased = _items.c.state == ItemState.LEASED.value
    others = or_(v.lease.is_(None), _items.c.lease_id != v.lease)
    held = _count(v, _items, leased, _items.c.slot1 == v.key, others)
    held += _count(v, _items, leased, _items.c.slot2 == v.key, others)
    running = _runs.c.status == RunStatus.RUNNING.value
    held += _count(v, _runs, _runs.c.run_slot == v.key, running)
    promised = _count(v, _items, _items.c.gate == v.key, _items.c.state == ItemState.READY.value)
    first = (
        select((cast(_items.c.rank_us, Text) + ":" + _items.c.id).label("place"))
        .where(_items.c.gate == v.key, _items.c.state == ItemState.WAITING.value)
        .order_by(_items.c.rank_us, _items.c.id)
        .limit(_MOST_IN_LINE)
        .correlate_except(_items)
        .subquery()
    )
    # a plain string would be a parameter that SQLAlchemy fills in only when it executes the SQL
    comma: Any = literal_column("','")
    joined = func.aggregate_strings(first.c.place, comma)
    line = select(joined).select_from(first).scalar_subquery()
    return select(v.key, held, promised, line)


_columns: ColumnTypes = {"key": Text(), "lease": Text()}
_look = ManyRows(_columns, _looked)
_lock_and_look = AfterLock(buckets.LOCK, _look)


def see(tx: Connection, groups: Iterable[str]) -> dict[str, SlotGroup]:
    """Count the slots of groups without locks, and list the first 32 of each waiting line."""
    rows = [(group, None) for group in sorted(set(groups))]
    return _seen(_look.run(tx, rows)) if rows else {}


def lock(
    tx: Connection, groups: Iterable[str], lease_id: str | None = None
) -> dict[str, SlotGroup]:
    """Lock groups, in sorted order, and see who is in them, except the items of `lease_id`."""
    names = sorted(set(groups))
    rows = [(group, 0, lease_id) for group in names]
    return _seen(_lock_and_look.run(tx, rows)) if rows else {}


def _seen(rows: Iterable[Record]) -> dict[str, SlotGroup]:
    return {row[0]: SlotGroup(row[1], row[2], _line(row[3])) for row in rows}


def _line(written: str | None) -> tuple[tuple[int, str], ...]:
    if not written:
        return ()
    places = (place.split(":", 1) for place in written.split(","))
    return tuple(sorted((int(rank), item_id) for rank, item_id in places))


_wait = ManyRows(
    {"item": Text(), "gate": Text()},
    lambda v: (
        update(_items)
        .where(_items.c.id == v.item)
        .values(
            state=ItemState.WAITING.value,
            gate=v.gate,
            lease_id=None,
            lease_until=None,
            worker=None,
        )
    ),
)


def wait(tx: Connection, items: dict[str, str]) -> None:
    """Put items that this transaction has leased into waiting lines, named by item id."""
    if items:
        _wait.later(tx, sorted(items.items()))


_waiting = select(_items.c.id).where(
    _items.c.id.in_(bindparam("ids", expanding=True)), _items.c.state == ItemState.WAITING.value
)


def let_in(tx: Connection, ids: Sequence[str], again_at: datetime) -> list[tuple[ItemKind, str]]:
    """Make waiting items ready. A slot stays reserved for each until it is claimed.

    Skips locked items. Their runs are being ended by a transaction that may be waiting for the lock
    of this same group, and that lets in the next item afterwards.
    """
    if not ids:
        return []
    free = skip_locked(tx, _waiting)
    ready = update(_items).where(_items.c.id.in_(free))
    ready = ready.values(state=ItemState.READY.value, hint_at=again_at)
    rows = tx.execute(ready.returning(_items.c.id, _items.c.kind), {"ids": list(ids)})
    return [(ItemKind(row.kind), row.id) for row in rows]


def lines(tx: Connection, prefix: str) -> list[str]:
    """List the groups whose names begin with `prefix` and that have a waiting line."""
    return waiting_lines.lines(tx, prefix)


_run_slots = ManyRows(
    {"run": Text(), "slots": Text(), "run_slot": Text()},
    lambda v: update(_runs).where(_runs.c.id == v.run).values(slots=v.slots, run_slot=v.run_slot),
)
_item_slots = ManyRows(
    {"item": Text(), "slot1": Text(), "slot2": Text(), "rank": BigInteger()},
    lambda v: (
        update(_items)
        .where(_items.c.id == v.item)
        .values(slot1=v.slot1, slot2=v.slot2, rank_us=func.coalesce(v.rank, _items.c.rank_us))
    ),
)


_lockable = select(_runs.c.id).where(_runs.c.id.in_(bindparam("ids", expanding=True)))


def lock_runs(tx: Connection, ids: Sequence[str]) -> set[str]:
    """Lock runs, skipping locked ones, since this claim has already locked their items.

    Ending a run locks the run's row first, then its items: waiting here could be a deadlock.
    """
    free = _lockable.with_for_update(skip_locked=True, key_share=True)
    return set(tx.execute(free, {"ids": list(ids)}).scalars()) if ids else set()


def regroup(tx: Connection, changes: Sequence[tuple[str, str, Slots | None]]) -> None:
    """Replace the groups of runs and of their first items, which this transaction has leased.

    A change is the run, its item, and the groups; None without limits.
    """
    if not changes:
        return
    runs = [(run, held and held.to_json(), held and held.run) for run, _, held in changes]
    _run_slots.later(tx, runs)
    items = []
    for _, item, held in changes:
        first, second = ((*held.steps, None, None) if held else (None, None))[:2]
        items.append((item, first, second, held and held.rank_us))
    _item_slots.later(tx, items)


_next_line = (
    select(_items.c.gate, _items.c.run_id)
    .where(
        _items.c.state == ItemState.WAITING.value,
        _items.c.gate > bindparam("after"),
        or_(*(_items.c.gate.startswith(prefix) for prefix in PREFIXES)),
    )
    .order_by(_items.c.gate, _items.c.rank_us, _items.c.id)
    .limit(1)
)


_stands = SingleValue(
    select(_items.c.gate)
    .where(_items.c.state == ItemState.WAITING.value, _items.c.gate > "")
    .order_by(_items.c.gate)
    .limit(1)
)


def anything_waits(tx: Connection) -> bool:
    """Say whether any item waits in a waiting line, for a slot or for something else."""
    return _stands.value(tx) is not None


def next_line(tx: Connection, after: str) -> tuple[str, str] | None:
    """Find the next group with a waiting line, and the run of its first item; None without one."""
    row = tx.execute(_next_line, {"after": after}).first()
    return None if row is None else (row.gate, row.run_id)
