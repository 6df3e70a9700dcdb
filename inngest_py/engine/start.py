"""Starting runs: events, their runs and their first items, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from .. import observe
from ..domain import canonical
from ..domain.errors import Invalid
from ..domain.events import Event
from ..domain.items import ItemKind, ItemState
from ..domain.limits import EVENT_ID_WINDOW
from ..domain.runs import RunStatus
from ..storage import events, queue, runs
from .catalog import Function
from .context import Context, Hint

# How long a hint may take before upkeep sends another.
HINT_GRACE = timedelta(seconds=2)


@dataclass(slots=True)
class Started:
    """What a transaction started, to be told after it has committed."""

    hints: list[Hint] = field(default_factory=list)
    runs: list[tuple[str, str, str]] = field(default_factory=list)  # run, function, event

    def tell(self, ctx: Context) -> None:
        """Send the hints and the signals; call after the commit."""
        if self.hints:
            ctx.hints.send(self.hints)
        for run_id, function_id, event_id in self.runs:
            observe.tell(
                observe.run_queued, run_id=run_id, function_id=function_id, event_id=event_id
            )


def accept(ctx: Context, accepted: Sequence[Event]) -> None:
    """Store events with the runs they start, in one commit.

    A seeded id that is stored already is a sender's retry: its event is not stored and starts
    nothing again. Raises Invalid, and stores nothing, when that id belongs to another event.
    """
    if not accepted:
        return
    started = ctx.committer.run(accepted[0].id, lambda tx: write_events(tx, ctx, accepted))
    started.tell(ctx)


def write_events(tx: Connection, ctx: Context, accepted: Sequence[Event]) -> Started:
    """Write events and what they start; takes locks only on the keys of events that have ids."""
    now = ctx.now()
    ctx.catalog.refresh(tx)
    fresh = events.add(tx, [_event_row(event, now) for event in accepted])
    _check_retries(tx, accepted, fresh)
    started = Started()
    run_rows: list[dict[str, Any]] = []
    item_rows: list[dict[str, Any]] = []
    for event in accepted:
        if event.id not in fresh:
            continue
        for function in _functions(ctx, event, now):
            run_id = ctx.new_id(now)
            if not _first(tx, event, function, run_id, now):
                continue
            run_rows.append(_run_row(run_id, function, event, now))
            item = _start_item(ctx.new_id(now), run_id, event, now)
            item_rows.append(item)
            started.runs.append((run_id, function.id, event.id))
            if item["due_at"] <= now:
                started.hints.append((ItemKind.START, item["id"]))
    runs.add(tx, run_rows)
    queue.add(tx, item_rows)
    return started


def _check_retries(tx: Connection, accepted: Sequence[Event], fresh: set[str]) -> None:
    """Refuse events whose seeded id another event has: answering 200 would lose them."""
    for event in accepted:
        if event.id in fresh:
            continue
        stored = events.get(tx, event.id)
        if stored is not None and _content(stored["payload"]) != _content(event.payload):
            raise Invalid(
                "the seed was used for another event: send a new x-inngest-event-id-seed with"
                " every batch, and the same one only to repeat it",
                field="x-inngest-event-id-seed",
            )


def _content(payload: str) -> dict[str, Any]:
    """Read an event without its time, which is the time of receipt where the sender gave none."""
    found: dict[str, Any] = canonical.loads(payload)
    return {name: value for name, value in found.items() if name != "ts"}


def _functions(ctx: Context, event: Event, now: datetime) -> list[Function]:
    """List the functions an event starts: an invocation only the one it names (events.md §8.4)."""
    if event.target is None:
        return ctx.catalog.matching(event.name, event.payload, now)
    named = ctx.catalog.by_slug.get(event.target) or ctx.catalog.by_id.get(event.target)
    return [named] if named is not None else []


def _first(tx: Connection, event: Event, function: Function, run_id: str, now: datetime) -> bool:
    """Say whether this is the first run of the function for the event's own id (events.md §5.2)."""
    if event.external_id == event.id:
        return True  # nobody else can have this id: the events table refuses it
    key = f"{function.id}:{event.external_id}"
    return events.take_key(tx, key, run_id, now, now + EVENT_ID_WINDOW)


def _event_row(event: Event, now: datetime) -> dict[str, Any]:
    return {
        "id": event.id,
        "external_id": event.external_id,
        "name": event.name,
        "payload": event.payload,
        "ts": datetime.fromtimestamp(event.ts_ms / 1000, UTC),
        "received_at": now,
        "internal": event.internal,
    }


def _run_row(run_id: str, function: Function, event: Event, now: datetime) -> dict[str, Any]:
    return {
        "id": run_id,
        "function_id": function.id,
        "function_version": function.version,
        "event_id": event.id,
        "status": RunStatus.QUEUED.value,
        "queued_at": now,
        "correlation_id": event.correlation_id,
    }


def _start_item(item_id: str, run_id: str, event: Event, now: datetime) -> dict[str, Any]:
    due_at = max(now, datetime.fromtimestamp(event.ts_ms / 1000, UTC))
    return {
        "id": item_id,
        "kind": ItemKind.START.value,
        "run_id": run_id,
        "job_key": run_id,
        "state": ItemState.READY.value,
        "queued_at": now,
        "due_at": due_at,
        "hint_at": due_at if due_at > now else now + HINT_GRACE,
        "attempt": 0,
    }
