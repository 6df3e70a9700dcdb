"""Deferred functions: a run asks for them, and they start when it has ended."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from ... import observe
from ...domain.events.event_record import Event
from ...domain.runs.runs import Run
from ...domain.steps import defers as rules
from ...domain.steps.defers import Defer, DeferStatus
from ...storage.queries import run_lookups
from ...storage.runs import defers, runs
from ..runtime.context import Context


def store(tx: Connection, run_id: str, given: Sequence[Defer]) -> None:
    """Store what the lazy opcodes of an answer change; the run's row must be locked already."""
    known = run_lookups.defers(tx, [run_id]).get(run_id, {})
    changed = rules.changes(known, given)
    for defer in given:
        if defer.hash not in known and defer.hash not in changed:
            observe.event("defer.refused", level=30, run_id=run_id, defer=defer.name)
    for defer in changed.values():
        if defer.status is DeferStatus.REJECTED:
            observe.event(
                "defer.rejected", level=30, run_id=run_id, defer=defer.name, reason=defer.reason
            )
    if changed:
        defers.put(tx, run_id, changed.values())
        runs.show_defers(tx, run_id, rules.shown((known | changed).values()))


def start_events(
    tx: Connection, ctx: Context, ended: Iterable[tuple[Run, datetime]]
) -> list[Event]:
    """Build the events that start the deferred functions of runs, given with their end times."""
    by_id = {run.id: (run, at) for run, at in ended}
    found = run_lookups.defers(tx, sorted(by_id)) if by_id else {}
    return [
        rules.event(
            defer,
            run_id=run_id,
            function_slug=by_id[run_id][0].function_slug,
            id=ctx.new_id(by_id[run_id][1]),
            ts_ms=int(by_id[run_id][1].timestamp() * 1000),
        )
        for run_id, deferred in found.items()
        for defer in deferred.values()
        if defer.status is DeferStatus.SCHEDULED
    ]
