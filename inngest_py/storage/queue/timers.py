"""Timers of flow control: queue items that fire at a time, found by their job keys."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, literal, select, update

from ...domain.errors import LeaseLost
from ...domain.runs.items import Item, ItemKind, ItemState
from ..db.columns import table_of
from ..flow.debounces import DebounceRow
from ..flow.event_batches import BatchBucket
from .queue_items import FREED, QueueItem

_items = table_of(QueueItem)
_debounces, _buckets = table_of(DebounceRow), table_of(BatchBucket)
# A transaction may not lock any number of rows. The other timers check again by themselves.
_MOST_HASTENED = 1000


def rearm(tx: Connection, item: Item, due_at: datetime) -> None:
    """Set a leased timer for a later time. Raises LeaseLost as finish() does."""
    mine = (_items.c.id == item.id, _items.c.lease_id == item.lease_id)
    values = {"due_at": due_at, **FREED, "hint_at": due_at}
    if not tx.execute(update(_items).where(*mine).values(values)).rowcount:
        raise LeaseLost


def hasten(tx: Connection, job_key: str, due_at: datetime) -> None:
    """Make a ready timer due earlier. A worker that has leased it reads the new time itself."""
    sooner = update(_items).where(_items.c.job_key == job_key, _items.c.due_at > due_at)
    ready = _items.c.state == ItemState.READY.value
    tx.execute(sooner.where(ready).values(due_at=due_at, hint_at=due_at))


def hasten_all(tx: Connection, job_keys: Sequence[str], due_at: datetime) -> None:
    """Make ready timers due earlier. Locks them in the order of their job keys."""
    if job_keys:
        held = select(_items.c.id).where(
            _items.c.job_key.in_(list(job_keys)), _items.c.state == ItemState.READY.value
        )
        locked = held.order_by(_items.c.job_key).with_for_update()
        sooner = update(_items).where(_items.c.id.in_(locked), _items.c.due_at > due_at)
        tx.execute(sooner.values(due_at=due_at, hint_at=due_at))


def hasten_overdue(tx: Connection, function_ids: Sequence[str], now: datetime) -> None:
    """Make timers due now that became overdue while their functions were archived."""
    parked = select(literal(f"{ItemKind.DEBOUNCE.value}:") + _debounces.c.key).where(
        _debounces.c.function_id.in_(list(function_ids)), _debounces.c.fires_at <= now
    )
    gathered = select(literal(f"{ItemKind.BATCH.value}:") + _buckets.c.batch_id).where(
        _buckets.c.function_id.in_(list(function_ids)), _buckets.c.due_at <= now
    )
    keys = tx.execute(parked.union_all(gathered).limit(_MOST_HASTENED)).scalars()
    hasten_all(tx, sorted(keys), now)


def drop_jobs(tx: Connection, job_keys: Sequence[str]) -> None:
    """Delete timers, leased ones too."""
    if job_keys:
        tx.execute(delete(_items).where(_items.c.job_key.in_(list(job_keys))))
