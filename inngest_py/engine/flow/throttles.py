"""Throttle: runs start no faster than their rate; those beyond it wait in a line (§3).

A start item of a throttled function has the name of its bucket, its `gate`. A claim charges the
bucket under its lock. If there is no room, the item waits outside the items that are due. One timer
per bucket lets in the next of the line when there is room again. Nothing polls, cancelled runs
leave no gap, and an item that was charged before a crash is not charged again.

The bucket's name also has the key's expression. If the throttle is gone or has another key now,
the whole line is let in uncharged, and recheck_throttle.py applies the throttle that is in force.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from ... import observe
from ...domain.flow import gcra, keys, priority
from ...domain.flow.gcra import Rate
from ...domain.functions.function_config import Throttle
from ...domain.runs.items import HINT_GRACE, Item, ItemKind
from ...domain.values import canonical
from ...storage.flow import buckets
from ...storage.queue import queue_items, waiting_lines
from ...storage.queue import timers as timer_rows
from ...storage.queue.queue_items import ItemColumns
from ..runtime.catalog import Function
from ..runtime.context import Context, Hint
from . import limits, timers
from .arrivals import Arrival

_KIND = "throttle:"
MOST_AT_ONCE = 500
# How often a line's timer checks whether the paused function has been resumed.
_WHILE_PAUSED = timedelta(seconds=5)


def start_columns(arrival: Arrival, now: datetime, position: int) -> ItemColumns:
    """Give the columns of a start item that name its bucket and its place in the line.

    `position` orders runs that are made at the same moment.
    """
    config, rule = arrival.function.config, limits.throttle(arrival.function, now)
    ahead = 0
    if config.priority is not None:
        ahead = priority.seconds(config.priority, arrival.trigger.fields, now)
    gate = None
    if rule is not None:
        gate = bucket_of(arrival.function, rule, lambda: arrival.trigger.fields, now)
    if gate is None and not ahead and not limits.counts(arrival.function, now):
        return {"rank_us": None, "gate": None}
    rank = priority.rank_us(arrival.due(now), ahead) + min(position, 999)
    return {"rank_us": rank, "gate": gate}


def of_rerun(function: Function, payload: str, now: datetime) -> ItemColumns:
    """Give the same columns for a rerun: its place is at the end of the line."""
    rule = limits.throttle(function, now)
    if rule is None:
        return {"rank_us": None, "gate": None}
    gate = bucket_of(function, rule, lambda: canonical.loads(payload), now)
    return {"rank_us": priority.rank_us(now, 0), "gate": gate}


def bucket_of(
    function: Function, rule: Throttle, event: Callable[[], Mapping[str, object]], now: datetime
) -> str:
    """Name the bucket of an event; the key is read from the event."""
    text = keys.text(rule.key, event() if rule.key else {}, now)
    return _KIND + keys.bucket(_group(function.id, rule), text)


def _group(function_id: str, rule: Throttle) -> str:
    return keys.bucket(function_id, rule.key or "")


def timer_key(gate: str) -> str:
    """Name the job of the timer that lets in the next of a bucket's line."""
    return timers.job_key(ItemKind.THROTTLE, gate)


def prefix(function_id: str) -> str:
    """Give the prefix of the names of a function's buckets."""
    return f"{_KIND}{function_id}:"


def rescaled(
    numbers: Mapping[str, int], old: Throttle | None, new: Throttle | None, now: datetime
) -> dict[str, int]:
    """Translate the numbers of buckets to a changed rate; return those that change."""
    if new is None:
        return {}
    before = None if old is None else Rate.of_throttle(old)
    return gcra.rescaled_all(numbers, gcra.to_ns(now), before, Rate.of_throttle(new))


def pass_through(
    tx: Connection, ctx: Context, items: Sequence[Item], now: datetime
) -> tuple[list[Item], list[Hint]]:
    """Charge the buckets of claimed items; return the items to run now, and hints for others.

    The rest of the given items waits, without a lease. An item that was charged has CHARGED as
    its options.
    """
    lines: dict[str, list[Item]] = defaultdict(list)
    gated = [(item.gate, item) for item in items if item.gate and item.gate.startswith(_KIND)]
    if gated:
        ctx.catalog.refresh(tx)
    for gate, item in gated:
        # items of a paused function are held, and are checked again when it is resumed
        if not _paused(tx, ctx, gate):
            lines[gate].append(item)
    if not lines:
        return list(items), []
    waiting, charged, hints = admit(tx, ctx, lines, now)
    through = [item for item in items if item.id not in waiting]
    return [
        replace(item, opts=waiting_lines.CHARGED) if item.id in charged else item
        for item in through
    ], hints


def admit(
    tx: Connection, ctx: Context, lines: Mapping[str, Sequence[Item]], now: datetime
) -> tuple[set[str], set[str], list[Hint]]:
    """Put claimed items into the lines of their buckets, and let in the first of each line.

    Returns the ids of the items that wait now, without a lease, the ids of those that were
    charged, and hints for other items. Locks the buckets.
    """
    numbers = buckets.lock(tx, list(lines))
    # read again, under the locks: a change of limits holds them too, and must count from now on
    ctx.catalog.refresh(tx)
    hints: list[Hint] = []
    waiting: set[str] = set()
    charged: set[str] = set()
    rows = []
    for gate in sorted(lines):
        rate = _rate(tx, ctx, gate, now)
        let_in, left = _let_in(tx, gate, rate, numbers, lines[gate], now)
        own = {item.id for item in lines[gate]}
        charged |= own.intersection(let_in) if rate is not None else set()
        waiting |= own.difference(let_in)
        _log_waits(tx, ctx, gate, len(own.difference(let_in)))
        hints += [(ItemKind.START, item_id) for item_id in let_in if item_id not in own]
        if left is not None:
            rows.append(timers.row(ItemKind.THROTTLE, ctx.new_id(now), gate, left, now, None))
            if let_in:  # the rate may have been raised since the timer was set
                timer_rows.hasten(tx, timers.job_key(ItemKind.THROTTLE, gate), left)
    queue_items.put(tx, rows)
    buckets.put(tx, numbers)
    waiting_lines.mark_charged(tx, sorted(charged))
    waiting_lines.wait(tx, [item for line in lines.values() for item in line if item.id in waiting])
    return waiting, charged, hints


def _log_waits(tx: Connection, ctx: Context, gate: str, count: int) -> None:
    function = _function(tx, ctx, gate) if count else None
    if function is not None:
        observe.event("throttle.waits", level=10, function=function.slug, items=count)


def _let_in(
    tx: Connection,
    gate: str,
    rate: Rate | None,
    numbers: dict[str, int],
    claimed: Sequence[Item],
    now: datetime,
) -> tuple[list[str], datetime | None]:
    """Let in the first of a line and of the claimed items, under the bucket's lock.

    Returns their ids in order, and when the next may be let in; None when no item is left.
    Without a rate all are let in, uncharged.
    """
    now_ns, most = gcra.to_ns(now), MOST_AT_ONCE + len(claimed)
    room = most if rate is None else gcra.room(rate, numbers[gate], now_ns, most)
    line = [(item.rank_us or 0, item.id) for item in claimed]
    if room or not line:
        # read one more than there is room for, to know whether any item is left
        line = sorted(line + waiting_lines.first(tx, gate, room + 1))
    let_in = [item_id for _, item_id in line[:room]]
    others = set(let_in).difference(item.id for item in claimed)
    waiting_lines.let_in(tx, sorted(others), now, now + HINT_GRACE, charged=rate is not None)
    if rate is None:
        return let_in, now if len(line) > room else None
    if let_in:
        numbers[gate] = gcra.charge(rate, numbers[gate], now_ns, len(let_in))
    if len(line) <= room:
        return let_in, None
    return let_in, max(now, gcra.to_time(gcra.opens_ns(rate, numbers[gate])))


def _rate(tx: Connection, ctx: Context, gate: str, now: datetime) -> Rate | None:
    """Read a bucket's rate as it is now; None when its function has no such throttle any more.

    An archived function keeps its rate: its queued runs are as many calls to the app as before.
    """
    function = _function(tx, ctx, gate)
    rule = None if function is None else limits.throttle(function, now)
    if function is None or rule is None:
        return None
    group = gate.removeprefix(_KIND).rpartition(":")[0]
    return Rate.of_throttle(rule) if group == _group(function.id, rule) else None


def _function(tx: Connection, ctx: Context, gate: str) -> Function | None:
    return ctx.catalog.find(tx, gate.removeprefix(_KIND).partition(":")[0])


def _paused(tx: Connection, ctx: Context, gate: str) -> bool:
    function = _function(tx, ctx, gate)
    return function is not None and function.paused is not None


def fire(tx: Connection, ctx: Context, item: Item, now: datetime) -> list[Hint]:
    """Let in the first of the timer's line, and set the timer for the next."""
    gate = item.run_id
    numbers = buckets.lock(tx, [gate])
    ctx.catalog.refresh(tx)
    if _paused(tx, ctx, gate):
        timer_rows.rearm(tx, item, now + _WHILE_PAUSED)
        return []
    let_in, left = _let_in(tx, gate, _rate(tx, ctx, gate, now), numbers, [], now)
    buckets.put(tx, numbers)
    if left is None:
        queue_items.finish(tx, [item])
    else:
        timer_rows.rearm(tx, item, left)
    return [(ItemKind.START, item_id) for item_id in let_in]
