"""Looks back: a wait that was asked to may end with an event that is stored already.

The wait is opened like others, and its item is due at once. The worker that claims it looks for the
earliest event since the run was made; if there is none, the item is due again at the time-out. No
event is missed: transactions that store events after the wait was committed see it, and those that
began before are waited for by more looks (see `in_flight`). On SQLite, with one writer at a time,
one look is enough.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from ...domain import cel
from ...domain.errors import LeaseLost
from ...domain.runs.items import Item, ItemKind
from ...domain.runs.runs import Run
from ...domain.steps.wait_results import EndedBy, LookBack, StoredWait
from ...domain.values import canonical
from ...storage.events import events
from ...storage.events.events import InFlight
from ...storage.queue import queue_items
from ..runtime.context import Context
from ..runtime.jobs import Job

_PAGE = 100
_SHORTEST, _LONGEST = timedelta(milliseconds=50), timedelta(seconds=5)  # between two looks


@dataclass(frozen=True, slots=True)
class Found:
    """What a look has found: the earliest event, and who was writing when it began."""

    earliest: EndedBy | None
    in_flight: InFlight


def look(ctx: Context, job: Job, asked: LookBack) -> Found:
    """Look for the earliest event that ends the wait.

    Left out are the run's own event, and events that an earlier step of the run has waited for.
    """
    in_flight = ctx.committer.read(events.in_flight)  # before the look, not after it
    used = {job.run.event_id, *job.run.events} | _used(job, asked)
    return Found(_earliest(ctx, job.run, asked, used), in_flight)


def _used(job: Job, asked: LookBack) -> set[str]:
    """Give the ids of the awaited events among the results that the run had."""
    name, ids = canonical.dumps(asked.event).decode(), set()
    for value in list(job.memo.values())[: asked.steps]:
        if name in value:
            found = canonical.loads(value)
            if isinstance(found, dict) and found.get("name") == asked.event:
                ids.add(str(found.get("id")))
    return ids


def _earliest(ctx: Context, run: Run, asked: LookBack, used: Collection[str]) -> EndedBy | None:
    now, after = ctx.now(), (run.queued_at, "")
    while True:
        page = ctx.committer.read(
            partial(events.since, name=asked.event, start=run.queued_at, after=after, limit=_PAGE)
        )
        for event in page:
            if event.id in used:
                continue
            payload = canonical.loads(event.payload)
            if payload.get("id") in used:
                continue
            expression = asked.expression
            if expression is None or cel.matches(expression, {"async": payload}, now):
                return EndedBy(event_id=event.id, event=event.payload)
        if len(page) < _PAGE:
            return None
        after = (page[-1].received_at, page[-1].id)


def go_on(ctx: Context, item: Item, wait: StoredWait, found: Found) -> None:
    """Let the wait go on: to its time-out, or to another look while older writers are busy."""
    asked = wait.look
    assert asked is not None
    horizon = found.in_flight.next if asked.horizon is None else asked.horizon
    if found.in_flight.oldest >= horizon:
        due_at, wait = asked.times_out, replace(wait, look=None)
    else:
        due_at = ctx.now() + min(_SHORTEST * 2 ** min(asked.looks, 16), _LONGEST)
        again = replace(asked, looks=asked.looks + 1, horizon=horizon)
        wait = replace(wait, look=again)
    opts = wait.written()
    try:
        ended = ctx.committer.run_alone(lambda tx: queue_items.wait_longer(tx, item, due_at, opts))
    except LeaseLost:  # the write was done after all, or another has the item
        return
    if ended:  # meanwhile
        ctx.hints.send([(ItemKind.WAIT, item.id)])
