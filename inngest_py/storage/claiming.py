"""Claiming: who leases items gets with them what their next requests need of their runs."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple

from sqlalchemy import Connection, DateTime, Text, select, update
from sqlalchemy.types import TypeEngine

from ..domain.items import RUNLESS, Item, ItemKind, ItemState
from . import run_loading
from .base import table_of, utc
from .batch import unnested
from .driven import Driven, columns, values
from .events import Event
from .functions import Function
from .queue import QueueItem
from .rowwise import RowWise, given
from .run_loading import Loaded
from .runs import RunRow

_items, _runs = table_of(QueueItem), table_of(RunRow)
_row: dict[str, TypeEngine[Any]] = {
    "item": Text(),
    "lease": Text(),
    "until": DateTime(timezone=True),
    "holder": Text(),
    "now": DateTime(timezone=True),
}
_names = list(_row)
_columns = [
    _items.c[name].label(f"item_{name}")
    for name in (
        "id",
        "kind",
        "run_id",
        "lease_id",
        "attempt",
        "queued_at",
        "due_at",
        "step",
        "step_name",
        "current",
        "opts",
        "generation",
        "answer",
        "rank_us",
        "gate",
    )
]


class Claimed(NamedTuple):
    """Leased items and their runs."""

    items: list[Item]
    runs: Loaded


def claim(
    tx: Connection,
    ids: Sequence[str],
    *,
    lease_id: str,
    now: datetime,
    lease: timedelta,
    worker: str,
) -> Claimed:
    """Lease those of the items that are ready and due; the others are somebody else's."""
    rows = [(item_id, lease_id, now + lease, worker, now) for item_id in ids]
    if not rows:
        return Claimed([], {})
    if tx.dialect.name == "sqlite":
        return _by_reading(tx, rows)
    if len(rows) == 1:
        found = _one.run(tx, values(_names, rows[0])).all()
    else:
        found = _many.run(tx, columns(_names, rows)).all()
    whole = [row for row in found if None not in (row.id, row.event, row.function_slug)]
    return Claimed([_item(row) for row in found], run_loading.built(tx, whole))


def _by_reading(tx: Connection, rows: Sequence[tuple[Any, ...]]) -> Claimed:
    """Claim on SQLite, which has no round trips to save."""
    items = [_item(row) for row in _leasing.run(tx, rows)]
    ids = sorted({item.run_id for item in items if item.kind not in RUNLESS})
    return Claimed(items, run_loading.load(tx, ids) if ids else {})


def _leased(v: Any) -> Any:
    ours = (_items.c.id == v.item, _items.c.state == ItemState.READY.value)
    return (
        update(_items)
        .where(*ours, _items.c.due_at <= v.now)
        .values(
            state=ItemState.LEASED.value,
            lease_id=v.lease,
            lease_until=v.until,
            worker=v.holder,
            generation=_items.c.generation + 1,
        )
    )


def _looked(v: Any) -> Any:
    """Read in a statement of its own: the first may have waited for writers of the runs."""
    return (
        select(*_columns, *run_loading.LOADED)
        .select_from(_items)
        .outerjoin(_runs, _runs.c.id == _items.c.run_id)
        .outerjoin(Event, Event.id == _runs.c.event_id)
        .outerjoin(Function, Function.id == _runs.c.function_id)
        .where(_items.c.id == v.item, _items.c.lease_id == v.lease)
    )


_given = SimpleNamespace(**given(_names))
_leasing = RowWise(_leased(_given).returning(*_columns), _names)
_one = Driven(_leased(_given), _looked(_given))
_many = Driven(_leased(unnested(_row)), _looked(unnested(_row)))


def _item(row: Any) -> Item:
    return Item(
        id=row.item_id,
        kind=ItemKind(row.item_kind),
        run_id=row.item_run_id,
        lease_id=row.item_lease_id,
        attempt=row.item_attempt,
        queued_at=utc(row.item_queued_at),
        due_at=utc(row.item_due_at),
        step=row.item_step,
        step_name=row.item_step_name,
        current=row.item_current,
        opts=row.item_opts,
        generation=row.item_generation,
        answer=row.item_answer,
        rank_us=row.item_rank_us,
        gate=row.item_gate,
    )
