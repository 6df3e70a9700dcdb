"""Timers of flow control: each does its work in one transaction, fenced by its lease."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from ... import observe
from ...domain.errors import LeaseLost
from ...domain.flow import keys
from ...domain.flow.debounce import BUFFER
from ...domain.reply.timeouts import cancellation_entry
from ...domain.runs.items import Item, ItemKind
from ...domain.runs.runs import ENDED, Run
from ...domain.values import canonical
from ...domain.values.json_types import JsonObject
from ...storage.catalog import functions
from ...storage.events import events
from ...storage.flow import debounces as debounce_rows
from ...storage.flow import event_batches as batch_rows
from ...storage.queue import load_runs, queue_items
from ...storage.queue import timers as timer_rows
from ..flow import batches, throttles
from ..flow.arrivals import Arrival, Trigger
from ..intake.publish import create
from ..intake.started import Started
from ..runtime.catalog import Function
from ..runtime.context import Context
from .end_run import end_at_once, signal_cancelled

# how soon and how late the timer of a function that is not there looks again
_SOONEST = timedelta(seconds=5)
# a newer version's workers, which can read the function, are to find the timer due meanwhile
_LATEST = {"archived": timedelta(minutes=10), "unreadable": timedelta(seconds=30)}
# What a timer has started, and the run that it has cancelled, if any.
Fired = tuple[Started, Run | None]


@dataclass(frozen=True, slots=True)
class Timer:
    """A leased item of a rule; its `run_id` does not name a run: see OF_RULES."""

    item: Item


def run_timer(ctx: Context, job: Timer) -> None:
    """Do what a claimed timer is for; does nothing when its lease is lost.

    Raises DBAPIError when the database refuses; run_job() then puts the timer off.
    """
    item = job.item
    fired = _FIRES[item.kind]
    try:
        started, replaced = ctx.committer.run_alone(lambda tx: fired(tx, ctx, item, ctx.now()))
        started.send(ctx)
        if replaced is not None:
            signal_cancelled(replaced)
    except LeaseLost:
        observe.event("item.lease_lost", level=30, item_id=item.id, kind=item.kind.value)
    finally:
        ctx.leases.drop(item)


def _debounce(tx: Connection, ctx: Context, item: Item, now: datetime) -> Fired:
    """Start the run of the last event, or wait longer when later events have come (§5)."""
    started = Started()
    row = debounce_rows.get(tx, item.run_id)
    if row is not None and row["fires_at"] + BUFFER > now:
        timer_rows.rearm(tx, item, row["fires_at"] + BUFFER)
        return started, None
    if row is not None:
        found = _function(tx, ctx, row["function_id"])
        if found.missing is not None:
            _keep(tx, item, found, row["fires_at"], now)
            return started, None
        debounce_rows.remove(tx, item.run_id)
        event = events.get(tx, row["event_id"])
        trigger = None if event is None else Trigger.of(event)
        _create(tx, ctx, found, trigger, None, now, started)
    queue_items.finish(tx, [item])
    return started, None


def _batch(tx: Connection, ctx: Context, item: Item, now: datetime) -> Fired:
    """Start the run of a batch whose time is up; the timer's options name its bucket (§6)."""
    started = Started()
    batch_id, key = item.run_id, item.opts or ""
    batch = batch_rows.open_batch(tx, key)
    if batch is not None and batch.id == batch_id:
        found = _function(tx, ctx, keys.function_of(key))
        if found.missing is not None:
            _keep(tx, item, found, batch.due_at, now)
            return started, None
        batch_rows.remove(tx, [key])
        trigger = batches.first(tx, batch_id)
        _create(tx, ctx, found, trigger, batch_id, now, started)
    queue_items.finish(tx, [item])
    return started, None


@dataclass(frozen=True, slots=True)
class _Found:
    """A timer's function; None when it has been deleted, or is missing for a while: says why."""

    id: str
    function: Function | None
    missing: str | None = None


def _function(tx: Connection, ctx: Context, function_id: str) -> _Found:
    ctx.catalog.refresh(tx)
    function = ctx.catalog.by_id.get(function_id)
    if function is not None:
        return _Found(function_id, function)
    row = functions.function(tx, function_id)
    if row is None:
        return _Found(function_id, None)
    unreadable = row["archived_at"] is None and function_id in ctx.catalog.unreadable
    return _Found(function_id, None, "unreadable" if unreadable else "archived")


def _keep(tx: Connection, item: Item, found: _Found, since: datetime, now: datetime) -> None:
    """Look again later: its app may bring the function back, which hastens this."""
    missing = found.missing or "archived"
    again = now + min(max(now - since, _SOONEST), _LATEST[missing])
    timer_rows.rearm(tx, item, again)
    observe.event(
        "timer.kept",
        level=30,
        function_id=found.id,
        why=missing,
        since=since.isoformat(),
        kind=item.kind.value,
    )


def _create(
    tx: Connection,
    ctx: Context,
    found: _Found,
    trigger: Trigger | None,
    batch_id: str | None,
    now: datetime,
    started: Started,
) -> None:
    if found.function is None or trigger is None:  # deleted since the event came
        observe.event("timer.orphan", level=30, function_id=found.id)
        return
    arrival = Arrival(trigger, found.function, ctx.new_id(now), batch_id=batch_id)
    create(tx, ctx, [arrival], now, started)


def _throttle(tx: Connection, ctx: Context, item: Item, now: datetime) -> Fired:
    return Started(hints=throttles.fire(tx, ctx, item, now)), None


def _replace(tx: Connection, ctx: Context, item: Item, now: datetime) -> Fired:
    """Cancel the run that another one replaces; this deletes its items, this one too (§8)."""
    found = load_runs.load(tx, [item.run_id]).get(item.run_id)
    if found is not None and found[0].status not in ENDED:
        # an item of an older version names no run
        newer: JsonObject | None = canonical.loads(item.opts) if item.opts else None
        text = "Cancelled by a newer run of the singleton."
        shown = cancellation_entry("CancelledBySingleton", text, newer)
        ended, started = end_at_once(tx, ctx, found[0], shown, now, [item])
        if ended:
            return started, found[0]
    queue_items.finish(tx, [item])
    return Started(), None


_FIRES: dict[ItemKind, Callable[[Connection, Context, Item, datetime], Fired]] = {
    ItemKind.DEBOUNCE: _debounce,
    ItemKind.BATCH: _batch,
    ItemKind.THROTTLE: _throttle,
    ItemKind.REPLACE: _replace,
}
