"""The backlog: which items are due for a hint, and when the next one is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Connection,
    DateTime,
    Integer,
    Text,
    bindparam,
    func,
    select,
    update,
)

from ...domain.flow.priority import rank_us
from ...domain.runs.items import ItemKind, ItemState
from ..db.columns import Timestamp, table_of
from ..db.dialects import pick
from ..db.row_types import Record
from ..db.session import past_locked
from ..db.statements import EachRow, SingleValue
from .queue_items import QueueItem

_items = table_of(QueueItem)


# Items of kinds that only a newer version knows get their hints from its workers.
_KNOWN = [kind.value for kind in ItemKind]
_ready = (
    select(_items.c.id, _items.c.due_at, _items.c.rank_us)
    .where(
        _items.c.state == ItemState.READY.value,
        _items.c.hint_at <= bindparam("now", type_=Timestamp()),
        _items.c.kind.in_(_KNOWN),
    )
    .limit(bindparam("most", type_=Integer()))
)
_plain = _ready.where(_items.c.rank_us.is_(None)).order_by(_items.c.hint_at, _items.c.id)
_ranked = _ready.where(_items.c.rank_us.is_not(None)).order_by(_items.c.rank_us, _items.c.id)
_past_locked = past_locked(_plain), past_locked(_ranked)
_hinted = EachRow(
    {"item": Text(), "again_at": DateTime(timezone=True)},
    lambda v: (
        update(_items)
        .where(_items.c.id == v.item)
        .values(hint_at=v.again_at)
        .returning(_items.c.id, _items.c.kind)
    ),
)


def due(
    tx: Connection, now: datetime, limit: int, again_at: datetime
) -> list[tuple[str, ItemKind]]:
    """List ready items that are due for a hint, and set when the next hint for them may be sent.

    Items are chosen in the order of their ranks. The rank of an item without one is its due time.
    """
    wanted = {"now": now, "most": limit}
    plain, ranked = pick(tx, sqlite=(_plain, _ranked), postgres=_past_locked)
    rows = tx.execute(plain, wanted).all()
    others = tx.execute(ranked, wanted).all()
    ids = [row.id for row in rows]
    if others:
        ranked_ids = [
            (rank_us(row.due_at, 0) if row.rank_us is None else row.rank_us, row.id)
            for row in (*rows, *others)
        ]
        ids = [item_id for _, item_id in sorted(ranked_ids)[:limit]]
    if not ids:
        return []
    hinted = _hinted.run(tx, [(item_id, again_at) for item_id in ids])
    kinds = {row.id: ItemKind(row.kind) for row in hinted}
    return [(item_id, kinds[item_id]) for item_id in ids]


_runnable = (_items.c.state == ItemState.READY.value, _items.c.kind.in_(_KNOWN))


def next_after(tx: Connection, now: datetime) -> datetime | None:
    """Say when the next item is due after a moment; None without one. Reads all ready items."""
    query = select(func.min(_items.c.due_at)).where(*_runnable, _items.c.due_at > now)
    return tx.execute(query).scalar()


@dataclass(frozen=True, slots=True)
class Unsettled:
    """What is still to be done at a moment: items that are worked on, and those that are due."""

    leased: Sequence[Record]  # with id, run_id, kind and worker
    due: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.leased or self.due)


def unsettled(tx: Connection, now: datetime) -> Unsettled:
    """Find items that are worked on, and the ready ones that are due at a moment: 100 of each."""
    columns = (_items.c.id, _items.c.run_id, _items.c.kind, _items.c.worker)
    leased = select(*columns).where(_items.c.state == ItemState.LEASED.value).limit(100)
    due = select(_items.c.id).where(*_runnable, _items.c.due_at <= now).limit(100)
    return Unsettled(tx.execute(leased).all(), frozenset(tx.execute(due).scalars()))


_next_due = SingleValue(
    select(_items.c.hint_at)
    .where(_items.c.state == ItemState.READY.value)
    .order_by(_items.c.hint_at)
    .limit(1)
)


def next_due(tx: Connection) -> datetime | None:
    """Say when the next ready item is due for a hint; None when no item is ready."""
    found: datetime | None = _next_due.value(tx)
    return found
