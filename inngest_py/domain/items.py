"""Queue items: work due at a time.

Invariant: an item is either ready (no lease) or leased (with a lease id and its end).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

LEASE = timedelta(seconds=30)


class ItemKind(StrEnum):
    """What an item asks for; each kind is one Celery task."""

    START = "start"  # the first request of a run
    EDGE = "edge"  # a later request: discovery, or a targeted step
    SLEEP = "sleep"  # the end of a sleep


class ItemState(StrEnum):
    """Whether somebody holds the item."""

    READY = "ready"
    LEASED = "leased"


@dataclass(frozen=True, slots=True)
class Item:
    """A leased queue item, as its holder knows it.

    `step` is the hashed step id for a targeted request or a sleep, None for a discovery.
    `attempt` counts from 0. `current` is the stack position that caused a discovery, or None.
    """

    id: str
    kind: ItemKind
    run_id: str
    lease_id: str
    attempt: int
    queued_at: datetime
    due_at: datetime
    step: str | None = None
    step_name: str | None = None
    current: int | None = None
    opts: str | None = None


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to be written; a `job_key` that is already queued makes it a no-op."""

    kind: ItemKind
    job_key: str
    due_at: datetime
    step: str | None = None
    step_name: str | None = None
    current: int | None = None
    opts: str | None = None
