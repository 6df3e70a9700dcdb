"""Queue items: work due at a time.

Invariant: an item is ready, held or waiting (no lease), or leased (with a lease id and its end).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

LEASE = timedelta(seconds=30)
SDK = "sdk"  # holds, in a worker's place, the items of runs that go on in an SDK's own request


class ItemKind(StrEnum):
    """What an item asks for; each kind is one Celery task."""

    START = "start"  # the first request of a run
    EDGE = "edge"  # a later request: discovery, or a targeted step
    SLEEP = "sleep"  # the end of a sleep
    CANCEL = "cancel"  # the runs that an event cancels
    TIMEOUT = "timeout"  # the end of a run's time
    GATEWAY = "gateway"  # an HTTP call that the server makes for a step
    PAUSE = "pause"  # the end of a wait: its answer, or its time-out
    EVENT = "event"  # the rest of the waits that one event may end
    DEBOUNCE = "debounce"  # the end of a debounce: its run starts
    BATCH = "batch"  # the time-out of a batch: its run starts
    THROTTLE = "throttle"  # a throttle has room for the next of its line
    REPLACE = "replace"  # a run gives way to a newer one of its singleton


# Timers of rules: their `run_id` is no run's, but the name of the bucket or the batch.
OF_RULES = frozenset({ItemKind.DEBOUNCE, ItemKind.BATCH, ItemKind.THROTTLE, ItemKind.REPLACE})

# All that belong to no run.
RUNLESS = OF_RULES | {ItemKind.EVENT, ItemKind.CANCEL}

# Those whose work is a request, which counts against limits of concurrency.
CALLS = frozenset({ItemKind.START, ItemKind.EDGE, ItemKind.GATEWAY})

# Those that bring a run on: one that has not ended has at least one of them.
DRIVING = CALLS | {ItemKind.SLEEP, ItemKind.PAUSE}


class ItemState(StrEnum):
    """Whether somebody holds the item."""

    READY = "ready"
    LEASED = "leased"
    HELD = "held"  # its function is paused: nobody may claim it until that is resumed
    WAITING = "waiting"  # for room behind a throttle; only its timer makes it ready


@dataclass(frozen=True, slots=True)
class Item:
    """A leased queue item, as its holder knows it.

    `step` is the hashed step id for a targeted request, a sleep or a wait, None for a discovery.
    `attempt` counts from 0. `current` is the stack position that caused a discovery, or None.
    `generation` is another number for each of the item's requests, so that late calls of an earlier
    one can be told apart.
    `answer` is the JSON of what ended a wait, None until something has. `gate` names the bucket
    that a start waits for, `rank_us` its place in line. `lapses` counts the leases that ended
    without a word of their holder since the last attempt that was over. An item of kind `event` or
    of OF_RULES belongs to no run: its `run_id` is the event's id, or what its rule says.
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
    generation: int = 1
    answer: str | None = None
    rank_us: int | None = None
    gate: str | None = None
    lapses: int = 0


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
