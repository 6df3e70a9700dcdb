"""Fan-out: an event that may end very many waits ends them page by page, one transaction each.

The queue item stores how far it has come (`opts`: a place in the index and the last wait read),
under its lease. After a crash the next worker continues from there.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from ... import observe
from ...domain.errors import LeaseLost
from ...domain.runs.items import Item
from ...domain.values import canonical
from ...storage.events import events, waits
from ...storage.queue import queue_items
from ..runtime.context import Context, Hint
from .resume_waits import EventToMatch, close_waits


@dataclass(frozen=True, slots=True)
class Fanout:
    """A leased item of kind `event`, whose `run_id` is the event's id."""

    item: Item


def run_fanout(ctx: Context, job: Fanout) -> None:
    """End the waits that the event ends, until none is left or the lease is lost."""
    opts = job.item.opts
    try:
        while True:
            opts, hints = ctx.committer.run_alone(_page_of(ctx, job.item, opts))
            if hints:
                ctx.hints.send(hints)
            if opts is None:
                return
    except LeaseLost:
        observe.event("item.lease_lost", level=30, item_id=job.item.id, event_id=job.item.run_id)
    finally:
        ctx.leases.drop(job.item)


def _page_of(
    ctx: Context, item: Item, opts: str | None
) -> Callable[[Connection], tuple[str | None, list[Hint]]]:
    return lambda tx: _end_page(tx, ctx, item, opts)


def _end_page(
    tx: Connection, ctx: Context, item: Item, opts: str | None
) -> tuple[str | None, list[Hint]]:
    """Match one page of waits; return how far it has come, None at the end, and the hints."""
    now = ctx.now()
    row = events.get(tx, item.run_id)
    if row is None:  # deleted meanwhile: it can end no wait any more
        queue_items.finish(tx, [item])
        return None, []
    matched = EventToMatch(row["id"], row["name"], row["payload"], row["received_at"])
    place, after = canonical.loads(opts) if opts is not None else ("", "")
    paths = sorted(path for _, path in waits.paths(tx, [matched.name]) if path >= place)
    for lookup in matched.lookups(paths):
        found = waits.page(tx, lookup, after if lookup[1] == place else "")
        if not found:
            continue
        ended = {wait.id: matched.id for wait in found if matched.ends(wait, now)}
        hints = close_waits(tx, ended, now)
        opts = canonical.dumps([lookup[1], found[-1].id]).decode()
        queue_items.note_progress(tx, item, opts)
        return opts, hints
    queue_items.finish(tx, [item])
    return None, []
