"""Publish events: store them with the runs that they start, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ... import observe
from ...domain.errors import Invalid
from ...domain.events.user_events import Event, refused_invocation, unknown_function
from ...domain.flow.slots import Slots
from ...domain.limits import EVENT_ID_WINDOW
from ...domain.runs.items import ItemKind
from ...domain.runs.runs import RunStatus
from ...domain.values import canonical
from ...domain.values.json_types import JsonObject
from ...storage.db.row_types import RowValues
from ...storage.events import events, on_arrival, waits
from ...storage.queue import queue_items
from ...storage.queue.queue_items import ItemRow
from ...storage.runs import runs
from ..flow import batches, concurrency, debounces, rate_limits, singletons, throttles
from ..flow.arrivals import Arrival, FlowOutcome, Trigger
from ..flow.concurrency import Lines
from ..flow.run_timeouts import start_timers
from ..flow.singletons import Release
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.catalog import Function
from ..runtime.context import Context
from . import search_keys
from .cancel_subscriptions import subscribe
from .resume_waits import match
from .started import Started

# the error that the invoker of a function gets (execution.md §2)
RATE_LIMITED = "invoked function is rate limited"
_RULES = (batches.gather, rate_limits.limit, debounces.park)


@dataclass(slots=True)
class Outbox:
    """What a transaction has to publish, all in one call of write_events()."""

    events: list[Event] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    lines: Lines = field(default_factory=dict)  # waiting lines that may have room now

    def join(self, other: "Outbox") -> None:
        """Add what else the same transaction has to publish."""
        self.events += other.events
        self.releases += other.releases
        self.lines |= other.lines

    def write(self, tx: Connection, ctx: Context) -> "Started":
        """Publish it, as the last writes before the commit."""
        return write_events(tx, ctx, self.events, self.releases, self.lines)


def accept(ctx: Context, accepted: Sequence[Event]) -> None:
    """Store events with the runs they start, in one commit.

    If a seeded id is stored already, the event is a sender's retry: it is not stored again and
    starts nothing. Raises Invalid, and stores nothing, when that id belongs to another event.
    """
    if not accepted:
        return
    key = accepted[0].id
    try:
        started = ctx.committer.run(key, _write_all, (ctx, accepted))
    except IntegrityError:
        # stored already: the commit was done, but its answer was lost with the connection
        known = [replace(event, fresh=False) for event in accepted]
        started = ctx.committer.run(key, _write_all, (ctx, known))
    started.send(ctx)
    observe.send(observe.events_accepted, count=len(accepted))


def send(ctx: Context, sent: Sequence[Event], by: Actor) -> None:
    """Store events that an operator sends, with what they start and rows of the audit log."""

    def write(tx: Connection) -> Started:
        started = write_events(tx, ctx, sent)
        for event in sent:
            audit.note(tx, by, ctx.now(), "event.send", event.id, event.name)
        return started

    ctx.committer.run_once(write).send(ctx)
    observe.send(observe.events_accepted, count=len(sent))


def _write_all(tx: Connection, writes: Sequence[tuple[Context, Sequence[Event]]]) -> list[Started]:
    """Write the events of callers that share a commit; the first result has what all started."""
    together = write_events(tx, writes[0][0], [event for _, events in writes for event in events])
    return [together, *(Started() for _ in writes[1:])]


def write_events(
    tx: Connection,
    ctx: Context,
    accepted: Sequence[Event],
    releases: Sequence[Release] = (),
    lines: Lines | None = None,
) -> Started:
    """Write events and what they start.

    `releases` are the singleton keys that ended runs give back, `lines` the waiting lines that may
    have room now. What may begin now is claimed in the same transaction, if this process has room.

    Locks rows of rules and of events' own ids (see flow), never those of runs. Call it once per
    transaction: with two calls, two transactions could deadlock.
    """
    started = _written(tx, ctx, accepted, releases, lines)
    started.begin(tx, ctx)
    return started


def _written(
    tx: Connection,
    ctx: Context,
    accepted: Sequence[Event],
    releases: Sequence[Release],
    lines: Lines | None,
) -> Started:
    started = Started()
    if not accepted:
        if releases or lines:
            create(tx, ctx, [], ctx.now(), started, releases, lines=lines)
        return started
    now = ctx.now()
    fresh = _store(tx, accepted, now)
    names = sorted({event.name for event in accepted})
    version, open_paths = on_arrival.version_and_paths(tx, names)
    ctx.catalog.refresh(tx, version)
    # waits are locked before the rows of rules, as in ending a run
    started.hints += match(tx, ctx, fresh, open_paths, now)
    refused: list[Event] = []
    ticks: list[Arrival] = []
    arrivals: list[Arrival] = []
    came = {event.id: _received_at(place, now) for place, event in enumerate(accepted)}
    for event in fresh:
        trigger, found = Trigger(event, came[event.id]), _functions(ctx, event, now)
        if event.target is not None and event.correlation_id is not None and not found:
            refused.append(_refusal(ctx, event, unknown_function(event.target), now))
        made = [Arrival(trigger, function, ctx.new_id(now)) for function in found]
        (arrivals if event.cron is None else ticks).extend(made)
    outcome = FlowOutcome()
    for rule in _RULES:
        arrivals = rule(tx, ctx, arrivals, now, outcome)
    create(tx, ctx, [*ticks, *arrivals], now, started, releases, outcome, lines)
    if outcome.subscribed:  # one of these events may cancel a run that another has started
        started.hints += match(tx, ctx, fresh, waits.paths(tx, names), now)
    invocations = [event for event in outcome.dropped if event.correlation_id is not None]
    refused += [_refusal(ctx, event, RATE_LIMITED, now) for event in invocations]
    if refused:
        started.join(_written(tx, ctx, refused, (), None))
    return started


def create(
    tx: Connection,
    ctx: Context,
    arrivals: Sequence[Arrival],
    now: datetime,
    started: Started,
    releases: Sequence[Release] = (),
    outcome: FlowOutcome | None = None,
    lines: Lines | None = None,
) -> None:
    """Make the runs of events that passed the earlier rules (flow-control.md §1, from 4 on)."""
    outcome = outcome or FlowOutcome()
    holding = singletons.lock(tx, arrivals, releases, now)
    made = _first(tx, arrivals, now)
    for arrival in made:
        arrival.heed_pause()
    singletons.give_keys(ctx, holding, made, now, outcome)
    singletons.write(tx, holding)
    _give_back(tx, made)
    run_rows, item_rows, timer_rows, cancel_rows = [], outcome.items, [], []
    started.hints += outcome.hints
    lines = dict(lines or {})
    for position, arrival in enumerate(made):
        held, item = _first_item(ctx, arrival, now, position)
        run_rows.append(_run_row(arrival, now) | concurrency.run_columns(held))
        if arrival.skip_reason is not None:
            continue
        item_rows.append(item)
        timer_rows += start_timers(ctx, arrival.function, arrival.run_id, now)
        cancel_rows += _subscribed(arrival, now)
        started.runs.append((arrival.run_id, arrival.function.id, arrival.event.id))
        group = concurrency.join_line(item, held, now)
        if group is not None:
            lines[group] = arrival.function.id
        elif item["due_at"] <= now:
            started.hint_at_start(arrival.function, item["id"])
    runs.add(tx, run_rows)
    search_keys.of_arrivals(tx, made)
    queue_items.put(tx, item_rows)
    queue_items.put(tx, timer_rows)
    waits.add(tx, cancel_rows)
    outcome.subscribed = bool(cancel_rows)
    let_in = concurrency.let_in(tx, ctx, lines, now)
    concurrency.log_waits(made, item_rows, let_in)
    started.hints += let_in


def _first_item(
    ctx: Context, arrival: Arrival, now: datetime, position: int
) -> tuple[Slots | None, ItemRow]:
    """Make a run's first item, with the slots that the run counts against."""
    place = throttles.start_columns(arrival, now, position)
    held = concurrency.of_arrival(arrival, now, place["rank_us"])
    item = start_item(ctx.new_id(now), arrival.run_id, arrival.due(now), now)
    return held, {**item, **place, **concurrency.columns(held, ItemKind.START)}


def _subscribed(arrival: Arrival, now: datetime) -> list[RowValues]:
    event, made_at = arrival.event, arrival.trigger.received_at or now
    return subscribe(arrival.run_id, arrival.function, event.id, event.payload, made_at)


def _refusal(ctx: Context, event: Event, message: str, now: datetime) -> Event:
    """Answer an invocation that starts nothing, so that its invoker does not wait (waits.md §4)."""
    now_ms = int(now.timestamp() * 1000)
    return refused_invocation(event, message, id=ctx.new_id(now), now_ms=now_ms)


def _store(tx: Connection, accepted: Sequence[Event], now: datetime) -> list[Event]:
    """Store events; return those that were not stored before.

    Raises Invalid for a seeded id of another event: answering 200 would lose the new event.
    """
    rows = [event_row(event, _received_at(place, now)) for place, event in enumerate(accepted)]
    if all(event.fresh for event in accepted):
        events.put(tx, rows)
        return list(accepted)
    unseen = events.add(tx, rows)
    fresh = []
    for event in accepted:
        if event.id in unseen:
            unseen.discard(event.id)  # two in one transaction may have the same id
            fresh.append(event)
            continue
        stored = events.get(tx, event.id)
        if stored is not None and _content(stored["payload"]) != _content(event.payload):
            raise Invalid(
                "the seed was used for another event: send a new x-inngest-event-id-seed with"
                " every batch, and the same one only to repeat it",
                field="x-inngest-event-id-seed",
            )
    return fresh


def _content(payload: str) -> JsonObject:
    """Read an event without its time, which is the time of receipt where the sender gave none."""
    found: JsonObject = canonical.loads(payload)
    return {name: value for name, value in found.items() if name != "ts"}


def _functions(ctx: Context, event: Event, now: datetime) -> list[Function]:
    """List the functions that an event starts; an invocation starts its target (events.md §8.4)."""
    if event.target is None:
        return ctx.catalog.matching(event.name, event.payload, now)
    named = ctx.catalog.by_slug.get(event.target) or ctx.catalog.by_id.get(event.target)
    return [named] if named is not None else []


def _first(tx: Connection, arrivals: Sequence[Arrival], now: datetime) -> list[Arrival]:
    """Leave out runs whose function has one for the event's own id already (events.md §5.2)."""
    keyed: dict[str, Arrival] = {}
    for arrival in arrivals:
        if (key := _own_key(arrival)) is not None:
            keyed.setdefault(key, arrival)
    if not keyed:
        return list(arrivals)
    claims = {key: arrival.run_id for key, arrival in keyed.items()}
    ours = events.take_keys(tx, claims, now, now + EVENT_ID_WINDOW)
    firsts = {keyed[key].run_id for key in ours}
    return [a for a in arrivals if _own_key(a) is None or a.run_id in firsts]


def _own_key(arrival: Arrival) -> str | None:
    """Name the key of a run whose event has an id of its own; event batches have none."""
    event = arrival.event
    if event.external_id == event.id or arrival.batch_id is not None:
        return None  # no other event can have this id: the events table refuses it
    return f"{arrival.function.id}:{event.external_id}"


def _give_back(tx: Connection, made: Sequence[Arrival]) -> None:
    """Free the ids of events whose runs are skipped: if they are sent again, they may run."""
    keys = (_own_key(arrival) for arrival in made if arrival.skip_reason is not None)
    events.give_keys_back(tx, [key for key in keys if key is not None])


def _received_at(place: int, now: datetime) -> datetime:
    """Give each event of a transaction its own time, so that their order is kept.

    An event cancels only runs that came before it, and the times in ids are the senders'.
    """
    return now + timedelta(microseconds=place)


def event_row(event: Event, received_at: datetime) -> RowValues:
    """Make the row of an event."""
    return {
        "id": event.id,
        "external_id": event.external_id,
        "name": event.name,
        "payload": event.payload,
        "ts": datetime.fromtimestamp(event.ts_ms / 1000, UTC),
        "received_at": received_at,
        "internal": event.internal,
        "traceparent": event.traceparent,
    }


def _run_row(arrival: Arrival, now: datetime) -> RowValues:
    skipped = arrival.skip_reason is not None
    return {
        "id": arrival.run_id,
        "function_id": arrival.function.id,
        "function_version": arrival.function.version,
        "event_id": arrival.event.id,
        "status": (RunStatus.SKIPPED if skipped else RunStatus.QUEUED).value,
        "queued_at": now,
        "ended_at": now if skipped else None,
        "correlation_id": arrival.event.correlation_id,
        "batch_id": arrival.batch_id,
        "skip_reason": arrival.skip_reason,
        "existing_run_id": arrival.existing_run_id,
        "singleton_key": arrival.singleton_key,
        "cron": arrival.event.cron,
    }


def start_item(item_id: str, run_id: str, due_at: datetime, now: datetime) -> ItemRow:
    """Make the row of a run's first item."""
    return queue_items.new_row(
        item_id,
        ItemKind.START,
        run_id,
        run_id,
        due_at=due_at,
        now=now,
        opts=None,
        rank_us=None,
        gate=None,
    )
