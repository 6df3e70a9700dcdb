"""Waiting lines: items that wait for a throttle, a slot, their app's share, or their app's broker.

The column `gate` holds the name of an item's line.

A waiting item has no due time of its own. For a throttle, one timer per line lets in the first
item. To read or write the line of a throttle or of slots, lock its bucket first (buckets.lock()).
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, Connection, Text, bindparam, select, update

from ...domain.runs.items import Item, ItemKind, ItemState
from ..db.columns import table_of
from ..db.row_types import RowValues
from ..db.statements import EachRow, ManyRows
from .queue_items import QueueItem

MOST_LINES = 1000
# The `opts` of a start item whose throttle has been charged for it.
CHARGED = "true"
_items = table_of(QueueItem)
_first = (
    select(_items.c.id, _items.c.rank_us)
    .where(_items.c.gate == bindparam("gate"), _items.c.state == ItemState.WAITING.value)
    .order_by(_items.c.rank_us, _items.c.id)
    .limit(bindparam("most"))
    # the run of a locked item is being ended
    .with_for_update(skip_locked=True)
)


def first(tx: Connection, gate: str, most: int) -> list[tuple[int, str]]:
    """List the first items of a waiting line as (rank, item id), and lock them."""
    rows = tx.execute(_first, {"gate": gate, "most": most})
    return [(row.rank_us or 0, row.id) for row in rows]


_names = (
    select(_items.c.gate)
    .where(
        _items.c.state == ItemState.WAITING.value,
        _items.c.gate > bindparam("after"),
        _items.c.gate < bindparam("until"),
    )
    .order_by(_items.c.gate)
    .limit(1)
)


def names(tx: Connection, prefix: str) -> list[str]:
    """List waiting lines whose names begin with `prefix`, at most MOST_LINES, sorted.

    Skips from one to the next in the index: one look-up per line, however long the lines are.
    """
    found: list[str] = []
    after, until = prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)
    while len(found) < MOST_LINES:
        gate = tx.execute(_names, {"after": after, "until": until}).scalar()
        if gate is None:
            break
        found.append(gate)
        after = gate
    return found


_turns = (
    update(_items)
    .where(
        _items.c.id.in_(bindparam("ids", expanding=True)),
        _items.c.state == ItemState.WAITING.value,
    )
    .values(state=ItemState.READY.value, gate=None, hint_at=bindparam("again"))
    .returning(_items.c.kind, _items.c.id)
)


def let_in_first(
    tx: Connection, gate: str, most: int, again_at: datetime
) -> list[tuple[ItemKind, str]]:
    """Make the first items of an app's waiting line ready; return their kinds and ids.

    Such a line needs no lock of a bucket.
    """
    ids = [item_id for _, item_id in first(tx, gate, most)]
    if not ids:
        return []
    rows = tx.execute(_turns, {"ids": ids, "again": again_at})
    return [(ItemKind(row.kind), row.id) for row in rows]


_lines = (
    select(_items.c.gate)
    .where(
        _items.c.state == ItemState.WAITING.value,
        _items.c.gate.startswith(bindparam("prefix"), autoescape=False),
    )
    .distinct()
)


def lines(tx: Connection, prefix: str) -> list[str]:
    """List all waiting lines whose names begin with `prefix`, sorted.

    Reads the whole index of waiting items: only for changes that people make.
    """
    return sorted(tx.execute(_lines, {"prefix": prefix}).scalars())


def let_in(
    tx: Connection, ids: Sequence[str], now: datetime, hint_at: datetime, *, charged: bool
) -> None:
    """Make waiting items due. `charged` says that their throttle was charged for them."""
    if ids:
        waiting = update(_items).where(_items.c.id.in_(ids))
        ready: RowValues = {"state": ItemState.READY.value, "gate": None}
        ready["opts"] = CHARGED if charged else None
        tx.execute(waiting.values(due_at=now, hint_at=hint_at, **ready))


def mark_charged(tx: Connection, ids: Sequence[str]) -> None:
    """Note that the throttle was charged for leased items: later attempts do not wait again."""
    if ids:
        tx.execute(update(_items).where(_items.c.id.in_(ids)).values(gate=None, opts=CHARGED))


_placed = ManyRows(
    {"item": Text(), "gate": Text(), "rank": BigInteger()},
    lambda v: update(_items).where(_items.c.id == v.item).values(gate=v.gate, rank_us=v.rank),
)


def set_places(tx: Connection, items: Sequence[Item]) -> None:
    """Write the waiting line and the rank of items that this transaction has leased."""
    _placed.run(tx, [(item.id, item.gate, item.rank_us) for item in items])


_give_back = EachRow(
    {"item": Text(), "lease": Text(), "gate": Text()},
    lambda v: (
        update(_items)
        .where(_items.c.id == v.item, _items.c.lease_id == v.lease)
        .values(
            state=ItemState.WAITING.value,
            gate=v.gate,
            lease_id=None,
            lease_until=None,
            worker=None,
        )
        .returning(_items.c.id)
    ),
)


def give_back(tx: Connection, items: Sequence[Item], gate: str) -> None:
    """Give back items, those whose leases are not lost, into a waiting line; no attempt counts."""
    if items:
        _give_back.run(tx, [(item.id, item.lease_id, gate) for item in items]).all()


def wait(tx: Connection, items: Sequence[Item]) -> None:
    """Put items that this transaction has leased into their waiting lines."""
    if items:
        ids = [item.id for item in items]
        waiting = {"state": ItemState.WAITING.value, "lease_id": None, "lease_until": None}
        tx.execute(update(_items).where(_items.c.id.in_(ids)).values(worker=None, **waiting))
