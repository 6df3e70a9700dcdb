"""Invoke a function by API: write its event and its run, and wait for the run's end."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from ...domain.errors import Conflict, NotFound
from ...domain.events.user_events import Event, parse_invocation
from ...domain.runs.runs import ENDED, RunStatus
from ...domain.values.json_types import JsonObject
from ...storage.events import events
from ...storage.queries import event_lookups, run_lookups
from ...storage.queries.run_columns import WITH_OUTPUT
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.catalog import Function
from ..runtime.context import Context
from .publish import write_events
from .started import Started


class Repeated(Conflict):
    """A run has this idempotency key already; `run_id` names it."""

    def __init__(self, run_id: str) -> None:
        text = f"the idempotency key was used for run {run_id}: send a new one to run again"
        super().__init__(text, code="idempotency_conflict")
        self.run_id = run_id


_FIRST_DELAY, _LONGEST_DELAY = 0.02, 0.5


@dataclass(frozen=True, slots=True)
class Invoked:
    """What an invocation started; `run_id` is None if no run is made yet (debounce, batch)."""

    event_id: str
    run_id: str | None


def invoke(
    ctx: Context,
    slug: str,
    payload: JsonObject,
    size: int,
    *,
    idempotency_key: str | None = None,
    by: Actor | None = None,
) -> Invoked:
    """Invoke the function with this slug or UUID, in a commit that others may share.

    The payload has `data`, `user`, `v` and `meta` of an event (events.md §4, §8.4); `size` is its
    length in bytes. Further calls with the same key within 24 hours raise Repeated and store
    nothing. Raises NotFound for an unknown function, Invalid for a bad payload. An operator's act
    is written to the audit log with it.
    """
    with ctx.db.reading() as tx:
        function = _find(tx, ctx, slug)
    return invoke_function(ctx, function, payload, size, idempotency_key=idempotency_key, by=by)


def invoke_function(
    ctx: Context,
    function: Function,
    payload: JsonObject,
    size: int,
    *,
    idempotency_key: str | None = None,
    by: Actor | None = None,
) -> Invoked:
    """Invoke a function that the caller has just read from the catalogue, as invoke() does."""
    now = ctx.now()
    given = payload if idempotency_key is None else payload | {"id": idempotency_key}
    event_id = ctx.new_id(now)
    now_ms = int(now.timestamp() * 1000)
    made = parse_invocation(given, size, now_ms, event_id, function.slug)
    event = replace(made, fresh=True)  # its id is new: if it is stored, then by this call
    try:
        done, started = ctx.committer.run(event.id, _write_all, _Call(ctx, function, event, by))
    except IntegrityError:
        with ctx.db.reading() as tx:
            if not event_lookups.exists(tx, event.id):
                raise
            # the commit was done, but its answer was lost with the connection
            return Invoked(event.id, run_lookups.of_event(tx, event.id))
    started.send(ctx)
    return done


@dataclass(frozen=True, slots=True)
class _Call:
    """An invocation to be written."""

    ctx: Context
    function: Function
    event: Event
    by: Actor | None


def _write_all(tx: Connection, calls: Sequence[_Call]) -> list[tuple[Invoked, Started]]:
    """Write the invocations of callers that share a commit; the first has what all started."""
    ctx = calls[0].ctx
    started = write_events(tx, ctx, [call.event for call in calls])
    runs = {event_id: run_id for run_id, _, event_id in started.runs}
    done = [_written(tx, ctx, call, runs.get(call.event.id)) for call in calls]
    return [(one, Started() if place else started) for place, one in enumerate(done)]


def _written(tx: Connection, ctx: Context, call: _Call, run_id: str | None) -> Invoked:
    now, event, function = ctx.now(), call.event, call.function
    if run_id is None:
        if function.id not in ctx.catalog.by_id:  # archived just now
            raise _unknown(function.slug)
        if event.external_id != event.id:
            _refuse_repeated(tx, function, event.external_id, now)
    audit.note(tx, call.by, now, "function.invoke", function.slug, run_id or event.id)
    return Invoked(event.id, run_id)


def check_known(ctx: Context, slug: str) -> None:
    """Raise NotFound unless an unarchived function has this slug or UUID."""
    with ctx.db.reading() as tx:
        _find(tx, ctx, slug)


def _find(tx: Connection, ctx: Context, slug: str) -> Function:
    ctx.catalog.refresh(tx)
    function = ctx.catalog.by_slug.get(slug) or ctx.catalog.by_id.get(slug)
    if function is None:
        raise _unknown(slug)
    return function


def _unknown(slug: str) -> NotFound:
    return NotFound(f"function {slug[:255]!r} does not exist")


def _refuse_repeated(tx: Connection, function: Function, key: str, now: datetime) -> None:
    """Raise Repeated if the key has a run of the function; two calls at once wait for its row."""
    run_id = events.run_of_key(tx, f"{function.id}:{key}", now)
    if run_id is not None:
        raise Repeated(run_id)


def wait(
    ctx: Context, run_id: str, timeout: timedelta, sleep: Callable[[float], None] = time.sleep
) -> RowMapping | None:
    """Wait until a run has ended, at most for the time-out; return its row with output.

    None when the run does not exist (any more). Holds no database connection while it waits.
    """
    deadline = time.monotonic() + timeout.total_seconds()
    delay = _FIRST_DELAY
    while True:
        with ctx.db.reading() as tx:
            row = run_lookups.get(tx, run_id, WITH_OUTPUT)
        left = deadline - time.monotonic()
        if row is None or RunStatus(row["status"]) in ENDED or left <= 0:
            return row
        sleep(min(delay, left))
        delay = min(delay * 1.5, _LONGEST_DELAY)
