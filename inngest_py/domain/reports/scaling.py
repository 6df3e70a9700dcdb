"""How many workers the backlog needs, and why. Pure.

The rule: the slots that are busy are not to be had, and the items that are due must be done before
the oldest of them has waited for too long. A slot is one call in flight.
"""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

WITHIN = timedelta(seconds=60)  # how long an item may wait for a worker, unless the caller says
ASSUMED = timedelta(seconds=1)  # of an item, while nothing was measured
# Slots that are all busy make the next item wait: so much of a worker is planned for.
_FULL = 0.8
# However long the oldest item has waited, the rest gets this part of the time: otherwise a worker
# that was away for an hour would ask for thousands.
_LEAST_PART = 0.25


@dataclass(frozen=True, slots=True)
class WorkLoad:
    """What is to be done, and what does it.

    `due` items wait for a worker, the oldest for `oldest` (None without any); with `is_more` there
    are more than were counted. Items in the waiting line of a limit do not count: more workers do
    not let them in. `in_flight` items are being worked on. `per_item` is how long an item keeps a
    slot, over the last minutes; None if there was no item. `busy` is how many slots were busy at a
    time meanwhile, or are now if that is more: calls of hours count before they end. `workers` are
    alive, with `slots` together.
    """

    due: int
    is_more: bool
    oldest: timedelta | None
    in_flight: int
    per_item: timedelta | None
    busy: float
    workers: int
    slots: int


@dataclass(frozen=True, slots=True)
class Advice:
    """How many workers there should be, the slots that this follows from, and the reason."""

    workers: int
    slots: int
    reason: str


def advise(load: WorkLoad, *, slots_per_worker: int, within: timedelta = WITHIN) -> Advice:
    """Say how many workers with `slots_per_worker` slots let no item wait longer than `within`.

    At least one: workers also do the upkeep, such as timers, crons and retries.
    """
    per_item = ASSUMED if load.per_item is None else load.per_item
    left = max(within - (load.oldest or timedelta(0)), within * _LEAST_PART)
    backlog = load.due * (per_item / left)
    # no more than one slot for each item; the busy ones are for those that come
    wanted = max(load.busy, min(load.busy + backlog, load.due + load.in_flight))
    slots = ceil(round(wanted / _FULL, 6))
    workers = max(1, ceil(slots / slots_per_worker))
    return Advice(workers, slots, _reason(load, slots, slots_per_worker, left))


def _reason(load: WorkLoad, slots: int, slots_per_worker: int, left: timedelta) -> str:
    said = [f"{load.busy:.1f} slots are busy", _due(load, left)]
    planned = f"with a fifth to spare, that needs {_many(slots, 'slot')}"
    said.append(f"{planned} of {slots_per_worker} a worker")
    said.append(f"{_many(load.workers, 'worker')} with {_many(load.slots, 'slot')} alive now")
    if load.due and load.workers and load.in_flight * 2 < load.slots and left <= ASSUMED * 30:
        said.append(
            "most slots are free and items wait all the same: look at the workers' logs, and at the"
            " queues that they read, before you add more"
        )
    return "; ".join(said)


def _due(load: WorkLoad, left: timedelta) -> str:
    if load.oldest is None or not load.due:
        return "no item waits for a worker"
    more = "more than " if load.is_more else ""
    each = (
        f"{ASSUMED.total_seconds():g} s each is assumed"
        if load.per_item is None
        else f"each keeps a slot for {load.per_item.total_seconds():.3g} s"
    )
    waits = f"the oldest for {load.oldest.total_seconds():.3g} s"
    verb = "waits" if load.due == 1 else "wait"
    counted = f"{more}{_many(load.due, 'due item')} {verb}, {waits}"
    return f"{counted}, and should be done within {left.total_seconds():.3g} s, where {each}"


def _many(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
