"""Debounce: an event is parked until its key has been quiet for a time (flow-control.md §5).

A later event only writes the debounce's row. The timer reads that row when it fires, and is then
set again if it must wait longer.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from ...domain.flow import debounce, keys
from ...domain.flow.debounce import BUFFER, Parked
from ...domain.runs.items import ItemKind
from ...storage.flow import debounces
from ...storage.queue import timers as timer_rows
from ..runtime.context import Context
from . import timers
from .arrivals import Arrival, FlowOutcome


def park(
    tx: Connection, ctx: Context, arrivals: Sequence[Arrival], now: datetime, out: FlowOutcome
) -> list[Arrival]:
    """Park the events of functions that have the rule; return the others."""
    passing = []
    parking: list[tuple[Arrival, str]] = []
    for arrival in arrivals:
        rule = arrival.function.config.debounce
        if rule is None or arrival.batch_id is not None:
            passing.append(arrival)
            continue
        text = keys.text(rule.key, arrival.trigger.fields if rule.key else {}, now)
        parking.append((arrival, keys.bucket(arrival.function.id, text)))
    if parking:
        _park(tx, ctx, parking, now, out)
    return passing


def _park(
    tx: Connection,
    ctx: Context,
    parking: Sequence[tuple[Arrival, str]],
    now: datetime,
    out: FlowOutcome,
) -> None:
    found = debounces.lock(tx, {key: arrival.function.id for arrival, key in parking})
    parked = dict(found)
    for arrival, key in parking:
        event, rule = arrival.event, arrival.function.config.debounce
        assert rule is not None
        parked[key] = debounce.park(parked[key], event.id, event.ts_ms, rule, now)
    changed = {
        key: after for key, after in parked.items() if after is not None and after != found[key]
    }
    debounces.put(tx, changed)
    for key, after in changed.items():
        _set_timer(tx, ctx, key, found[key], after, now, out)


def _set_timer(
    tx: Connection,
    ctx: Context,
    key: str,
    before: Parked | None,
    after: Parked,
    now: datetime,
    out: FlowOutcome,
) -> None:
    due_at = after.fires_at + BUFFER
    if before is None:
        item_id = ctx.new_id(now)
        out.items.append(timers.row(ItemKind.DEBOUNCE, item_id, key, due_at, now, None))
    elif after.fires_at < before.fires_at:  # the function's period is shorter now
        timer_rows.hasten(tx, timers.job_key(ItemKind.DEBOUNCE, key), due_at)
