"""Cancellations by events: end the runs that an event cancels, page by page.

Each page is one bounded transaction. It stores in the event's item of kind `cancel` how far it has
come, under the item's lease. So a crash costs one page at most, and no two workers do one page.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
from ..intake.resume_waits import EventToMatch
from ..intake.started import Started
from ..runtime.context import Context
from .end_run import end_runs, note_cancelled, signal_cancelled
from .revoking import Ending

# Runs of one page: each that is cancelled has its row locked, and two events written.
MOST_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class CancelItem:
    """A leased item of kind `cancel`, whose `run_id` is the event's id."""

    item: Item


@dataclass(slots=True)
class _Page:
    """What one transaction did; `opts` is how far it has come, None at the end."""

    opts: str | None
    started: Started
    cancelled: list[Run]


def run_cancellation(ctx: Context, job: CancelItem) -> None:
    """Cancel the runs that the event cancels, until none is left or the lease is lost."""
    opts = job.item.opts
    try:
        while True:
            page = ctx.committer.run_alone(_page_of(ctx, job.item, opts))
            _send_signals(ctx, page)
            opts = page.opts
            if opts is None:
                return
    except LeaseLost:
        observe.event("item.lease_lost", level=30, item_id=job.item.id, event_id=job.item.run_id)
    finally:
        ctx.leases.drop(job.item)


def _page_of(ctx: Context, item: Item, opts: str | None) -> Callable[[Connection], _Page]:
    return lambda tx: _cancel_page(tx, ctx, item, opts)


def _cancel_page(tx: Connection, ctx: Context, item: Item, opts: str | None) -> _Page:
    row = events.get(tx, item.run_id)
    if row is None:  # deleted meanwhile: its conditions cannot be checked any more
        queue_items.finish(tx, [item])
        return _Page(None, Started(), [])
    matched = EventToMatch(row["id"], row["name"], row["payload"], row["received_at"])
    place, after = canonical.loads(opts) if opts is not None else ("", "")
    paths = sorted(path for _, path in waits.paths(tx, [matched.name]) if path >= place)
    for lookup in matched.lookups(paths):
        behind = after if lookup[1] == place else ""
        found = rows.page(tx, lookup, matched.received_at, after=behind, limit=MOST_AT_ONCE)
        if not found:
            continue
        cancelled, started = _cancel(tx, ctx, matched, found)
        opts = canonical.dumps([lookup[1], found[-1].id]).decode()
        queue_items.note_progress(tx, item, opts)
        return _Page(opts, started, cancelled)
    queue_items.finish(tx, [item])
    return _Page(None, Started(), [])


def _cancel(
    tx: Connection, ctx: Context, matched: EventToMatch, found: Sequence[rows.OpenSubscription]
) -> tuple[list[Run], Started]:
    """Cancel those runs whose conditions the event meets; locks their rows in order of ids."""
    meant = sorted(
        {
            one.run_id
            for one in found
            if rules.cancels(one.expression, one.expires_at, matched.event, matched.received_at)
        }
    )
    if not meant:
        return [], Started()
    runs.lock(tx, meant)
    loaded = load_runs.load(tx, meant)
    live = [loaded[run_id][0] for run_id in meant if run_id in loaded]
    live = [run for run in live if run.status not in ENDED]
    # every such event would look again at subscriptions of ended runs: drop them
    gone = set(meant).difference(run.id for run in live)
    rows.drop(tx, sorted(one.id for one in found if one.run_id in gone))
    if not live:  # all have ended meanwhile
        return [], Started()
    now = ctx.now()
    endings = [Ending(run, RunStatus.CANCELLED, None, now) for run in live]
    ended, outbox = end_runs(tx, ctx, endings)
    cancelled = [run for run in live if run.id in ended]
    note_cancelled(tx, cancelled, rules.cancelled_entry(matched.name, matched.id), now)
    return cancelled, outbox.write(tx, ctx)


def _send_signals(ctx: Context, page: _Page) -> None:
    page.started.send(ctx)
    for run in page.cancelled:
        signal_cancelled(run)
