"""Queue items: work due at a time.

Invariant: an item is ready, held or waiting, without a lease, or leased, with a lease id and the
lease's end.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

LEASE = timedelta(seconds=30)
# How long a hint may take before upkeep sends another.
HINT_GRACE = timedelta(seconds=2)
SDK = "sdk"  # the "worker" that leases the items of runs in an SDK's own request
CONNECT = (
    "connect"  # the "worker" that leases what a connected worker has, of a process that is gone
)
CELERY = "celery:"  # begins the "worker" that leases the items of tasks that a Celery app has


class ItemKind(StrEnum):
    """What an item asks for; each kind is one Celery task."""

    START = "start"  # the first request of a run
    EDGE = "edge"  # a later request: discovery, or a targeted step
    SLEEP = "sleep"  # the end of a sleep
    CANCEL = "cancel"  # an event may cancel runs
    TIMEOUT = "timeout"  # a run's time to start, or to finish, is over
    GATEWAY = "gateway"  # an HTTP call that the server makes for a step
    WAIT = "pause"  # the end of a wait, by an event or by its time-out; the stored word is older
    EVENT = "event"  # an event may end more waits than its own transaction took
    DEBOUNCE = "debounce"  # the end of a debounce: its run starts
    BATCH = "batch"  # the time-out of an event batch: its run starts
    THROTTLE = "throttle"  # a throttle has room for the next in its waiting line
    REPLACE = "replace"  # a newer run of a singleton cancels this one
    TASK = "task"  # a task that a Celery app runs for a step


# Timers of limits. Their `run_id` names a bucket, an event batch or a run to be replaced.
OF_RULES = frozenset({ItemKind.DEBOUNCE, ItemKind.BATCH, ItemKind.THROTTLE, ItemKind.REPLACE})

# Kinds whose items belong to no run.
RUNLESS = OF_RULES | {ItemKind.EVENT, ItemKind.CANCEL}

# Kinds whose work is a request, which takes a slot under limits of concurrency.
CALLS = frozenset({ItemKind.START, ItemKind.EDGE, ItemKind.GATEWAY, ItemKind.TASK})

# Kinds that continue a run: a run that has not ended has at least one such item.
DRIVING = CALLS | {ItemKind.SLEEP, ItemKind.WAIT}


class ItemState(StrEnum):
    """Whether the item may be claimed."""

    READY = "ready"
    LEASED = "leased"
    HELD = "held"  # its function is paused: nobody may claim it until the function is resumed
    WAITING = "waiting"  # in the waiting line of a throttle or of slots, until it is let in


def waits_for_its_time(kind: str, state: str, due_at: datetime, now: datetime) -> bool:
    """Say whether an item continues its run at a later time, and nobody works on it."""
    return ItemKind(kind) in DRIVING and state == ItemState.READY.value and due_at > now


@dataclass(frozen=True, slots=True)
class Item:
    """A leased queue item, as its worker knows it.

    `step` is the hashed step id for a targeted request, a sleep or a wait, None for a discovery.
    `attempt` counts from 0. `current` is the stack position that caused a discovery, or None.
    `generation` is another number for each of the item's requests, so that a late checkpoint of an
    earlier request is recognised.
    `answer` is the JSON of what ended a wait, None until then. `gate` names the bucket or the slots
    whose waiting line the item is in, `rank_us` its place there. `lapses` counts the leases that
    lapsed since the last attempt ended. An item of RUNLESS belongs to no run: its `run_id` is an
    event's id, or what OF_RULES says.
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
