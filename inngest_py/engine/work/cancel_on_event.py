"""Cancellations by events: end the runs that an event means, in turns of bounded transactions.

Each turn notes in the event's item of kind `cancel` how far it has come, under the item's lease:
a crash costs a turn at most, and two workers never take the same one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from ... import observe
from ...domain.errors import LeaseLost
from ...domain.reply import cancel_on as rules
from ...domain.runs.items import Item
from ...domain.runs.runs import ENDED, Run, RunStatus
from ...domain.values import canonical
from ...storage.events import cancel_on as rows
from ...storage.events import events, waits
from ...storage.queue import load_runs, queue_items
from ...storage.runs import runs
from ..intake.publish import Started
from ..intake.resume_waits import Arrival
from ..runtime.context import Context
from .end_run import Ending, end_runs, note_cancelled, tell_cancelled

# Runs looked at in one transaction: each that is cancelled has its row locked and two events.
MOST_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A leased item of kind `cancel`, whose `run_id` is the event's id."""

    item: Item


@dataclass(slots=True)
class _Turn:
    """What one transaction did; `opts` is how far it came, None at the end."""

    opts: str | None
    started: Started
    cancelled: list[Run]


def run_cancellation(ctx: Context, job: Cancellation) -> None:
    """Cancel the runs that the event means, until none are left or the lease is lost."""
    opts = job.item.opts
    try:
        while True:
            turn = ctx.committer.run_alone(_turn_of(ctx, job.item, opts))
            _tell(ctx, turn)
            opts = turn.opts
            if opts is None:
                return
    except LeaseLost:
        observe.event("item.lease_lost", level=30, item_id=job.item.id, event_id=job.item.run_id)
    finally:
        ctx.leases.drop(job.item)


def _turn_of(ctx: Context, item: Item, opts: str | None) -> Any:
    return lambda tx: _turn(tx, ctx, item, opts)


def _turn(tx: Connection, ctx: Context, item: Item, opts: str | None) -> _Turn:
    row = events.get(tx, item.run_id)
    if row is None:  # deleted meanwhile: nobody can say what it meant
        queue_items.finish(tx, [item])
        return _Turn(None, Started(), [])
    arrival = Arrival(row["id"], row["name"], row["payload"], row["received_at"])
    place, after = canonical.loads(opts) if opts is not None else ("", "")
    paths = sorted(path for _, path in waits.paths(tx, [arrival.name]) if path >= place)
    for lookup in arrival.lookups(paths):
        behind = after if lookup[1] == place else ""
        found = rows.page(tx, lookup, arrival.received_at, after=behind, limit=MOST_AT_ONCE)
        if not found:
            continue
        cancelled, started = _cancel(tx, ctx, arrival, found)
        opts = canonical.dumps([lookup[1], found[-1].id]).decode()
        queue_items.go_on(tx, item, opts)
        return _Turn(opts, started, cancelled)
    queue_items.finish(tx, [item])
    return _Turn(None, Started(), [])


def _cancel(
    tx: Connection, ctx: Context, arrival: Arrival, found: Sequence[rows.Candidate]
) -> tuple[list[Run], Started]:
    """Cancel those of the runs that the event means; locks their rows in the order of ids."""
    meant = sorted(
        {
            one.run_id
            for one in found
            if rules.cancels(one.expression, one.expires_at, arrival.event, arrival.received_at)
        }
    )
    if not meant:
        return [], Started()
    runs.lock(tx, meant)
    loaded = load_runs.load(tx, meant)
    live = [loaded[run_id][0] for run_id in meant if run_id in loaded]
    live = [run for run in live if run.status not in ENDED]
    # subscriptions that have outlived their runs would be looked at by every such event
    gone = set(meant).difference(run.id for run in live)
    rows.drop(tx, sorted(one.id for one in found if one.run_id in gone))
    if not live:  # all have ended by themselves meanwhile
        return [], Started()
    now = ctx.now()
    endings = [Ending(run, RunStatus.CANCELLED, None, now) for run in live]
    ended, outbox = end_runs(tx, ctx, endings)
    cancelled = [run for run in live if run.id in ended]
    note_cancelled(tx, cancelled, rules.shown(arrival.name, arrival.id), now)
    return cancelled, outbox.write(tx, ctx)


def _tell(ctx: Context, turn: _Turn) -> None:
    turn.started.tell(ctx)
    for run in turn.cancelled:
        tell_cancelled(run)
