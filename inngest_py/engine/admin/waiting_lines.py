"""Waiting lines: how many runs wait for each throttle and limit, and since when.

For people: read without locks, so a line may have changed meanwhile.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping

from ...domain.flow import keys, slots
from ...domain.values import canonical
from ...storage.queries import queue_stats
from ..flow import limits
from ..runtime.catalog import Function, function_of
from ..runtime.celery_apps import LINE_PREFIX


@dataclass(frozen=True, slots=True)
class WaitingLine:
    """A waiting line: the function of its first run, the limit, its key and value, the runs in it.

    `limit` is the number that the function has now, None if it does not have that limit any more,
    and for a broker that is away; `period` is a throttle's. `value` is None without a key, and if
    the event is too large to be read for it.
    """

    function: Function
    kind: str  # throttle, steps, runs or broker
    limit: int | None
    period: timedelta | None
    key: str | None
    value: str | None
    count: int
    oldest: datetime
    first_run: str


def longest(tx: Connection, now: datetime, most: int) -> list[WaitingLine]:
    """List the longest lines, counted over a bounded number of waiting items."""
    return [_line(row, now) for row in queue_stats.lines(tx, most)]


def _line(row: RowMapping, now: datetime) -> WaitingLine:
    function, gate = function_of(row), row["gate"]
    config, period = limits.effective(function, now), None
    if gate.startswith(slots.PREFIXES):
        kind = "runs" if gate.startswith("run:") else "steps"
        slot = slots.entry(gate, function.id, config.concurrency, config.run_concurrency)
        limit, key = (None, None) if slot is None else (slot.limit, slot.key)
    elif gate.startswith(LINE_PREFIX):
        kind, limit, key = "broker", None, None
    else:
        kind, throttle = "throttle", config.throttle
        limit, key = (None, None) if throttle is None else (throttle.limit, throttle.key)
        period = None if throttle is None else throttle.period
    value = None
    if key is not None and row["payload"] is not None:
        value = keys.text(key, canonical.loads(row["payload"]), now)
    count, oldest, run = row["waiting"], row["oldest"], row["first_run"]
    return WaitingLine(function, kind, limit, period, key, value, count, oldest, run)
