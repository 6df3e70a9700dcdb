"""Changes of limits (by a sync, an override or its end): waiting runs follow the new limits.

A transaction that writes a function's row holds the locks of its buckets: no other one can read
the old rate meanwhile and set a line's timer by it. Afterwards every bucket is as full as before,
measured by the new rate, and every line is checked again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from ...domain.errors import NotFound
from ...domain.flow import gcra
from ...domain.flow import slots as slot_rules
from ...domain.functions.function_config import FunctionConfig
from ...storage.catalog import functions as function_rows
from ...storage.flow import buckets
from ...storage.queue import concurrency_slots, waiting_lines
from ...storage.queue import timers as timer_rows
from ..runtime.catalog import function_of
from ..runtime.context import Context, Hint
from . import concurrency, limits, rate_limits, throttles

_LINES_AT_ONCE = 100


@dataclass(slots=True)
class Locked:
    """What is locked while limits change: the functions as they were, their buckets and lines."""

    before: dict[str, FunctionConfig] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


def differs(one: FunctionConfig, other: FunctionConfig) -> bool:
    """Say whether two configurations differ in a limit that waiting runs depend on."""
    return (one.throttle, one.rate_limit, one.concurrency, one.run_concurrency) != (
        other.throttle,
        other.rate_limit,
        other.concurrency,
        other.run_concurrency,
    )


def lock(tx: Connection, function_ids: Iterable[str], now: datetime) -> Locked:
    """Lock the buckets of functions whose rows are to be written. Raises NotFound."""
    held, names = Locked(), set[str]()
    ids, now_ns = sorted(set(function_ids)), gcra.to_ns(now)
    for function_id in ids:
        gated = throttles.prefix(function_id)
        held.lines += waiting_lines.lines(tx, gated)
        for prefix in (gated, rate_limits.prefix(function_id)):
            names.update(buckets.busy(tx, prefix, now_ns))
    names.update(held.lines)
    held.numbers = buckets.lock(tx, sorted(names)) if names else {}
    # read under the locks: it may have changed while this waited for them
    held.before = {function_id: config_with_override(tx, function_id) for function_id in ids}
    return held


def rescale(tx: Connection, held: Locked, now: datetime) -> None:
    """Translate the buckets to the limits that have been written, and make their timers due."""
    changed: dict[str, int] = {}
    for function_id, before in held.before.items():
        after = config_with_override(tx, function_id)
        starts = _of(held.numbers, throttles.prefix(function_id))
        changed |= throttles.rescaled(starts, before.throttle, after.throttle, now)
        others = _of(held.numbers, rate_limits.prefix(function_id))
        changed |= rate_limits.rescaled(others, before.rate_limit, after.rate_limit, now)
    buckets.put(tx, changed)
    timer_rows.hasten_all(tx, [throttles.timer_key(gate) for gate in held.lines], now)


def _of(numbers: dict[str, int], prefix: str) -> dict[str, int]:
    return {name: number for name, number in numbers.items() if name.startswith(prefix)}


def config_with_override(tx: Connection, function_id: str) -> FunctionConfig:
    """Read a configuration with its override, even one that has just ended. Raises NotFound."""
    row = function_rows.function(tx, function_id)
    if row is None:
        raise NotFound(f"function {function_id} does not exist")
    function = function_of(row)
    return function.overridden or function.config


def let_in_waiting(ctx: Context, function_ids: Iterable[str]) -> None:
    """Let in the next of the lines for slots; call it after the change is committed.

    If this is lost in a crash, upkeep does it.
    """
    for function_id in function_ids:
        lines = ctx.committer.run_alone(partial(_lines, ctx=ctx, function_id=function_id))
        for at in range(0, len(lines), _LINES_AT_ONCE):
            some = dict.fromkeys(lines[at : at + _LINES_AT_ONCE], function_id)
            hints = ctx.committer.run_alone(partial(_let_in, ctx=ctx, lines=some))
            if hints:
                ctx.hints.send(hints)


def _lines(tx: Connection, ctx: Context, function_id: str) -> Sequence[str]:
    ctx.catalog.refresh(tx)
    function = ctx.catalog.find(tx, function_id)
    if function is None:
        return []
    config = limits.effective(function, ctx.now())
    prefixes = slot_rules.prefixes(function_id, config.concurrency)
    return sorted({gate for prefix in prefixes for gate in concurrency_slots.lines(tx, prefix)})


def _let_in(tx: Connection, ctx: Context, lines: dict[str, str]) -> list[Hint]:
    return concurrency.let_in(tx, ctx, lines, ctx.now())
