"""Event batches: how events fill them, and when one is full (protocol: flow-control.md §6)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..functions.function_limits import Batch

MAX_BYTES = 10 * 1024 * 1024
# How long a bucket remembers the ids of its events, even after their event batch is gone.
REPEATED_WITHIN = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """An event batch that still takes events; `size` is their bytes, `due_at` its time-out."""

    id: str
    count: int
    size: int
    due_at: datetime


def opened(batch_id: str, rule: Batch, now: datetime) -> OpenBatch:
    """Open an event batch for its first event, which is to be added."""
    return OpenBatch(batch_id, 0, 0, now + rule.timeout)


def added(batch: OpenBatch, size: int) -> OpenBatch:
    """Return the event batch with one more event of `size` bytes."""
    return OpenBatch(batch.id, batch.count + 1, batch.size + size, batch.due_at)


def is_full(batch: OpenBatch, rule: Batch) -> bool:
    """Say whether the event batch's run has to start now."""
    return batch.count >= rule.max_size or batch.size > MAX_BYTES
