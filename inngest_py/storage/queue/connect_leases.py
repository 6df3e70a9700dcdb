"""Leases of items whose request a connected worker has got.

A worker's process outlives its connection, and the process that held it. So what it says later
names the item and the request's generation, not the lease.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, case, exists, update

from ...domain.runs.items import CONNECT, Item, ItemState
from ...domain.runs.runs import RunStatus
from ..db.columns import table_of
from ..db.row_types import Record
from ..runs.runs import RunRow
from .claiming import item_of
from .queue_items import FREED, QueueItem

_items, _runs = table_of(QueueItem), table_of(RunRow)
_LIVE = (RunStatus.QUEUED.value, RunStatus.RUNNING.value)
_columns = [column.label(f"item_{column.name}") for column in _items.c]


def extend(tx: Connection, item_id: str, generation: int, until: datetime, lease_id: str) -> bool:
    """Extend the lease of a request that its worker still works on; say whether it should go on.

    An item that is free, since its lease has lapsed, gets that lease back. A request that was
    replaced by another, or whose run has ended, is refused.
    """
    live = exists().where(_runs.c.id == _items.c.run_id, _runs.c.status.in_(_LIVE))
    leased = _items.c.state == ItemState.LEASED.value
    mine = (
        update(_items)
        .where(_of(item_id, generation), live)
        .values(
            state=ItemState.LEASED.value,
            lease_id=case((leased, _items.c.lease_id), else_=lease_id),
            lease_until=case(
                (and_(leased, _items.c.lease_until > until), _items.c.lease_until), else_=until
            ),
            worker=case((leased, _items.c.worker), else_=CONNECT),
        )
    )
    return bool(tx.execute(mine).rowcount)


def take_over(
    tx: Connection, item_id: str, generation: int, lease_id: str, until: datetime, worker: str
) -> Item | None:
    """Lease the item of an answer that has come to another process; None if nobody needs it.

    The process that waited for the answer has then lost its lease.
    """
    mine = (
        update(_items)
        .where(_of(item_id, generation))
        .values(state=ItemState.LEASED.value, lease_id=lease_id, lease_until=until, worker=worker)
    )
    row = tx.execute(mine.returning(*_columns)).first()
    return None if row is None else item_of(row)


def _of(item_id: str, generation: int) -> ColumnElement[bool]:
    return and_(
        _items.c.id == item_id,
        _items.c.generation == generation,
        _items.c.state.in_((ItemState.LEASED.value, ItemState.READY.value)),
    )


def hand_over(tx: Connection, held: Sequence[tuple[str, str]], until: datetime) -> None:
    """Leave leased items, given with their leases, to the workers that have their requests.

    The leases keep their ids, which SDKs send with checkpoints.
    """
    for item_id, lease_id in held:
        mine = update(_items).where(_items.c.id == item_id, _items.c.lease_id == lease_id)
        tx.execute(mine.values(worker=CONNECT, lease_until=until))


_FREED_COLUMNS = [_items.c[name] for name in ("id", "run_id", "slot1", "slot2", "kind", "lapses")]


def free_lost(tx: Connection, item: Item, now: datetime) -> list[Record]:
    """Make an item ready whose worker was lost; what it returns is as of leases.free_lapsed()."""
    return _freed(tx, and_(_items.c.id == item.id, _items.c.lease_id == item.lease_id), now)


def free_left(
    tx: Connection, item_id: str, generation: int, until: datetime, now: datetime
) -> list[Record]:
    """Make an item ready that was left to a worker, and that it has not extended beyond a time.

    What it returns is as of leases.free_lapsed().
    """
    left = and_(_items.c.worker == CONNECT, _items.c.lease_until <= until)
    return _freed(tx, and_(_of(item_id, generation), left), now)


def _freed(tx: Connection, which: ColumnElement[bool], now: datetime) -> list[Record]:
    mine = update(_items).where(which, _items.c.state == ItemState.LEASED.value)
    freed = mine.values(hint_at=now, gate=None, lapses=_items.c.lapses + 1, **FREED)
    return list(tx.execute(freed.returning(*_FREED_COLUMNS)))
