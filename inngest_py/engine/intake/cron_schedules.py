"""Cron triggers: plan their ticks, and start the runs of ticks that are due.

A tick's event, run and start item are written in the transaction that moves the schedule to its
next tick. So a tick starts one run however many workers see it, and no tick is lost when a worker
dies.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection

from ... import observe
from ...domain.events.user_events import Event, scheduled
from ...domain.functions import cron
from ...domain.functions.function_config import CronTrigger
from ...storage.catalog import crons
from ...storage.catalog import functions as rows
from ...storage.db.row_types import Record
from ...storage.queries import function_list
from ..runtime.catalog import Function, function_of
from ..runtime.context import Context
from .publish import write_events
from .started import Started

# A tick that no worker took within this time was missed; before that it is only late.
MISSED_AFTER = timedelta(seconds=60)
# The `all` policy starts at most so many missed ticks of a schedule, the newest ones.
MOST_MISSED = 100
_BATCH = 20


class Missed(StrEnum):
    """What becomes of ticks that were missed because no worker was running."""

    SKIP = "skip"  # nothing
    ONCE = "once"  # one run, for the newest, unless a later tick is not missed
    ALL = "all"  # one run for each of the newest hundred


def plan(tx: Connection, app_id: str, now: datetime) -> None:
    """Update the planned schedules of an app to those of its functions.

    An unchanged schedule keeps its next tick, so that a sync at that moment does not lose it. A
    new schedule begins with the first tick after `now`. Schedules that are gone are deleted.
    """
    wanted = {
        (row["id"], trigger.cron)
        for row in function_list.every(tx, app_id=app_id, archived=False)
        for trigger in function_of(row).config.triggers
        if isinstance(trigger, CronTrigger)
    }
    planned = crons.of_app(tx, app_id)
    for key in sorted(planned - wanted):
        crons.remove(tx, key)
    first = [(key, cron.next_after(key[1], now)) for key in sorted(wanted - planned)]
    crons.add(tx, [(key, tick) for key, tick in first if tick is not None])


def drop_all(ctx: Context) -> None:
    """Delete every planned schedule; an app's are planned again when it registers anew."""
    with ctx.db.transaction() as tx:
        for row in crons.every(tx):
            crons.remove(tx, row)


def run_due(ctx: Context, missed: Missed) -> bool:
    """Start the runs of due ticks; say whether there may be more."""
    now = ctx.now()
    with ctx.db.transaction() as tx:
        found = crons.due(tx, now, _BATCH)
        started = _start_ticks(tx, ctx, found, missed, now) if found else Started()
    started.send(ctx)
    return len(found) == _BATCH


def _start_ticks(
    tx: Connection,
    ctx: Context,
    found: Sequence[Record],
    missed: Missed,
    now: datetime,
) -> Started:
    """Move schedules to their next ticks, and write what the due ticks start."""
    ctx.catalog.refresh(tx)
    published: list[Event] = []
    for row in found:
        if row.function_id in ctx.catalog.unreadable:
            continue
        expression, tick = row.expression, row.tick
        key = (row.function_id, expression)
        function, trigger = _of_schedule(tx, ctx, row.function_id, expression)
        following = cron.next_after(expression, now)
        if function is None or trigger is None or following is None:
            crons.remove(tx, key)
        elif not crons.move(tx, key, tick, following):
            continue
        if function is not None and trigger is not None:
            wanted = _ticks(expression, tick, now, missed)
            if not wanted or wanted[0] != tick:
                observe.event("cron.missed", level=30, cron=expression, since=tick.isoformat())
                crons.note_missed(tx, key, tick, now)
            published += [_event(ctx, function, trigger, each, now) for each in wanted]
    return write_events(tx, ctx, published)


def _of_schedule(
    tx: Connection, ctx: Context, function_id: str, expression: str
) -> tuple[Function | None, CronTrigger | None]:
    """Find a schedule's function and trigger; asks the database before it says they are gone."""
    function = ctx.catalog.by_id.get(function_id)
    trigger = _trigger(function, expression)
    if function is not None and trigger is not None:
        return function, trigger
    row = rows.function(tx, function_id)
    if row is None or row["archived_at"] is not None:
        return None, None
    ctx.catalog.invalidate()
    function = function_of(row)
    return function, _trigger(function, expression)


def _trigger(function: Function | None, expression: str) -> CronTrigger | None:
    for trigger in function.config.triggers if function is not None else ():
        if isinstance(trigger, CronTrigger) and trigger.cron == expression:
            return trigger
    return None


def _ticks(expression: str, first: datetime, now: datetime, missed: Missed) -> list[datetime]:
    """List the ticks to start, from the first that no worker took until now."""
    if missed is Missed.ALL:
        found = cron.ticks(expression, first, now, MOST_MISSED)
    else:
        found = cron.ticks(expression, max(first, now - MISSED_AFTER), now, MOST_MISSED)
        if not found and missed is Missed.ONCE:
            found = cron.ticks(expression, first, now, 1)
    return found


def _event(
    ctx: Context, function: Function, trigger: CronTrigger, tick: datetime, now: datetime
) -> Event:
    """Build a tick's event: jitter delays the first request, not the run's creation."""
    jitter = trigger.jitter or timedelta(0)
    fire_at = tick + cron.jitter(jitter, function.id, tick)
    return scheduled(
        trigger.cron,
        tick,
        fire_at,
        id=ctx.new_id(now),
        function_id=function.id,
        apart=function.config.celery is not None,  # each may have arguments of its own
    )
