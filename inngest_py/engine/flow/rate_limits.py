"""Rate limit: events beyond the rate are dropped for the function (flow-control.md §4).

A sender's retry is not charged again: its events are stored already and start nothing, so they
never reach this rule.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from ... import observe
from ...domain.errors import Invalid
from ...domain.flow import gcra, keys
from ...domain.flow.gcra import Rate
from ...domain.functions.function_config import RateLimit
from ...storage.flow import buckets
from ..runtime.catalog import Function
from ..runtime.context import Context
from . import limits
from .arrivals import Arrival, FlowOutcome

_KIND = "rate:"


def prefix(function_id: str) -> str:
    """Give the prefix of the names of a function's buckets."""
    return f"{_KIND}{function_id}:"


def rescaled(
    numbers: Mapping[str, int], old: RateLimit | None, new: RateLimit | None, now: datetime
) -> dict[str, int]:
    """Translate the numbers of buckets to a changed rate; return those that change."""
    if new is None:
        return {}
    before = None if old is None else Rate.of_rate_limit(old)
    return gcra.rescaled_all(numbers, gcra.to_ns(now), before, Rate.of_rate_limit(new))


def limit(
    tx: Connection, ctx: Context, arrivals: Sequence[Arrival], now: datetime, out: FlowOutcome
) -> list[Arrival]:
    """Charge the events' buckets; return the events that had room or have no such rule."""
    charged: dict[int, tuple[str, Rate]] = {}
    kept = []
    for arrival in arrivals:
        rule = limits.rate_limit(arrival.function, now)
        if rule is None or arrival.batch_id is not None:
            kept.append(arrival)
            continue
        try:
            text = keys.unless_false(rule.key, arrival.trigger.fields if rule.key else {}, now)
        except Invalid as error:
            arrival.invalid("rate_limit.key", error.message)
            continue
        kept.append(arrival)
        if text is not None:
            key = _KIND + keys.bucket(arrival.function.id, text)
            charged[id(arrival)] = (key, Rate.of_rate_limit(rule))
    return _charge(tx, kept, charged, now, out) if charged else kept


def admits(
    tx: Connection, function: Function, event: Callable[[], Mapping[str, object]], now: datetime
) -> bool:
    """Charge the bucket of one event; say whether it had room. The key is read from the event.

    Raises Invalid when the rule's key cannot be evaluated.
    """
    rule = limits.rate_limit(function, now)
    if rule is None:
        return True
    text = keys.unless_false(rule.key, event() if rule.key else {}, now)
    if text is None:
        return True
    rate, now_ns = Rate.of_rate_limit(rule), gcra.to_ns(now)
    key = _KIND + keys.bucket(function.id, text)
    number = buckets.lock(tx, [key])[key]
    if not gcra.room(rate, number, now_ns, 1):
        return False
    buckets.put(tx, {key: gcra.charge(rate, number, now_ns, 1)})
    return True


def _charge(
    tx: Connection,
    arrivals: Sequence[Arrival],
    charged: dict[int, tuple[str, Rate]],
    now: datetime,
    out: FlowOutcome,
) -> list[Arrival]:
    now_ns = gcra.to_ns(now)
    numbers = buckets.lock(tx, [key for key, _ in charged.values()])
    changed: dict[str, int] = {}
    admitted = []
    for arrival in arrivals:
        if id(arrival) not in charged:
            admitted.append(arrival)
            continue
        key, rate = charged[id(arrival)]
        if gcra.room(rate, numbers[key], now_ns, 1):
            numbers[key] = changed[key] = gcra.charge(rate, numbers[key], now_ns, 1)
            admitted.append(arrival)
            continue
        out.dropped.append(arrival.event)
        observe.event("rate_limit.dropped", level=10, function=arrival.function.slug, key=key)
    buckets.put(tx, changed)
    return admitted
