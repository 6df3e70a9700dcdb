"""Batches: how events fill them, and when one is full (protocol: flow-control.md §6)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..functions.function_limits import Batch

MAX_BYTES = 10 * 1024 * 1024
# How long a bucket remembers an event's own id, whatever became of its batch.
REPEATED_WITHIN = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch that takes events: how many it has, their bytes, and when it is due at the latest."""

    id: str
    count: int
    size: int
    due_at: datetime


def opened(batch_id: str, rule: Batch, now: datetime) -> OpenBatch:
    """Open a batch for its first event."""
    return OpenBatch(batch_id, 0, 0, now + rule.timeout)


def added(batch: OpenBatch, size: int) -> OpenBatch:
    """Add an event of so many bytes."""
    return OpenBatch(batch.id, batch.count + 1, batch.size + size, batch.due_at)


def is_full(batch: OpenBatch, rule: Batch) -> bool:
    """Say whether the batch has to be run now."""
    return batch.count >= rule.max_size or batch.size > MAX_BYTES
