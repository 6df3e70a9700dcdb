"""Event batches: events gather in their bucket's batch until it is full (flow-control.md §6)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from ...domain import cel
from ...domain.events.event_record import INVOKED
from ...domain.flow import batching, keys
from ...domain.flow.batching import REPEATED_WITHIN, OpenBatch
from ...domain.runs.items import ItemKind
from ...storage.db.row_types import RowValues
from ...storage.events import events
from ...storage.flow import event_batches
from ...storage.queue import timers as timer_rows
from ..runtime.context import Context
from . import timers
from .arrivals import Arrival, FlowOutcome, Trigger


@dataclass(slots=True)
class _Filling:
    """What one transaction puts into the batches of its buckets."""

    opened: dict[str, OpenBatch | None]
    stored: frozenset[str]  # batches that had events, and a timer, before
    members: list[RowValues] = field(default_factory=list)
    full: list[tuple[Arrival, str]] = field(default_factory=list)  # last event, batch
    firsts: dict[str, Trigger] = field(default_factory=dict)


def gather(
    tx: Connection, ctx: Context, arrivals: Sequence[Arrival], now: datetime, out: FlowOutcome
) -> list[Arrival]:
    """Add events to their batches; return the other arrivals, and the runs of batches now full."""
    gathered = [arrival for arrival in arrivals if _is_batched(arrival, now)]
    if not gathered:
        return list(arrivals)
    placed = [(arrival, _bucket(arrival, now)) for arrival in gathered]
    opened = event_batches.lock(tx, {key: arrival.function.id for arrival, key in placed})
    filling = _Filling(opened, frozenset(one.id for one in opened.values() if one is not None))
    repeated = _repeated(tx, placed, now)
    for arrival, key in placed:
        if arrival.run_id not in repeated:
            _add(ctx, arrival, key, filling, now)
    runs = [_run(tx, arrival, batch_id, filling) for arrival, batch_id in filling.full]
    _write(tx, ctx, filling, now, out)
    taken = {id(arrival) for arrival in gathered}
    return [arrival for arrival in arrivals if id(arrival) not in taken] + runs


def _is_batched(arrival: Arrival, now: datetime) -> bool:
    """Say whether the event goes into a batch: one whose `if` is not true starts a run at once.

    So does an invocation of a Celery task: it says the arguments of this one call.
    """
    config = arrival.function.config
    rule = config.batch
    if rule is None or (config.celery is not None and arrival.event.name == INVOKED):
        return False
    if rule.expression is None:
        return True
    return cel.matches(rule.expression, {"event": arrival.trigger.fields}, now)


def _bucket(arrival: Arrival, now: datetime) -> str:
    rule = arrival.function.config.batch
    assert rule is not None
    if rule.key is None:
        return keys.bucket(arrival.function.id, "default")
    text = keys.text(rule.key, arrival.trigger.fields, now)
    if text == keys.INVALID:
        arrival.invalid("batch.key", "the key cannot be evaluated")
    return keys.bucket(arrival.function.id, text)


def _repeated(tx: Connection, placed: Sequence[tuple[Arrival, str]], now: datetime) -> set[str]:
    """Store the events' own ids by bucket; return the runs of events whose id is there already.

    A client may repeat an event after its batch was full and has run, so the bucket remembers it.
    """
    keyed: dict[str, str] = {}
    repeated = set()
    for arrival, bucket in placed:
        if arrival.event.external_id == arrival.event.id:
            continue  # nobody else can have this id
        key = f"{bucket}:{arrival.event.external_id}"
        if keyed.setdefault(key, arrival.run_id) != arrival.run_id:
            repeated.add(arrival.run_id)
    ours = events.take_keys(tx, keyed, now, now + REPEATED_WITHIN)
    return repeated | {run_id for key, run_id in keyed.items() if key not in ours}


def _add(ctx: Context, arrival: Arrival, key: str, filling: _Filling, now: datetime) -> None:
    event, rule = arrival.event, arrival.function.config.batch
    assert rule is not None
    batch = filling.opened[key]
    if batch is None:
        batch = batching.opened(ctx.new_id(now), rule, now)
        filling.firsts[batch.id] = arrival.trigger
    filling.members.append(
        {
            "batch_id": batch.id,
            "position": batch.count,
            "event_id": event.id,
            "added_at": now,
        }
    )
    batch = batching.added(batch, len(event.payload.encode()))
    is_full = batching.is_full(batch, rule)
    filling.opened[key] = None if is_full else batch
    if is_full:
        filling.full.append((arrival, batch.id))


def _run(tx: Connection, last: Arrival, batch_id: str, filling: _Filling) -> Arrival:
    """Make the run of a full batch: the run of its first event (§6)."""
    trigger = filling.firsts.get(batch_id) or first(tx, batch_id) or last.trigger
    return Arrival(trigger, last.function, last.run_id, batch_id=batch_id)


def first(tx: Connection, batch_id: str) -> Trigger | None:
    """Read a batch's first event; None when it has been deleted."""
    row = event_batches.first_event(tx, batch_id)
    return None if row is None else Trigger.of(row)


def _write(
    tx: Connection, ctx: Context, filling: _Filling, now: datetime, out: FlowOutcome
) -> None:
    event_batches.add(tx, filling.members)
    left = {key: batch for key, batch in filling.opened.items() if batch is not None}
    event_batches.put(tx, left)
    event_batches.remove(tx, filling.opened.keys() - left.keys())
    done = [batch_id for _, batch_id in filling.full if batch_id in filling.stored]
    timer_rows.drop_jobs(tx, [timers.job_key(ItemKind.BATCH, batch_id) for batch_id in done])
    for key, batch in left.items():
        if batch.id not in filling.stored:
            item_id = ctx.new_id(now)
            out.items.append(timers.row(ItemKind.BATCH, item_id, batch.id, batch.due_at, now, key))
