"""Invoke a function by API: write its event and its run, and wait for the run's end."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping

from ...domain.errors import Conflict, NotFound
from ...domain.events.user_events import parse_invocation
from ...domain.runs.runs import ENDED, RunStatus
from ...domain.values.json_types import JsonObject
from ...storage.events import events
from ...storage.queries import run_lookups
from ...storage.queries.run_columns import WITH_OUTPUT
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.catalog import Function
from ..runtime.context import Context
from .publish import Started, write_events

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
    """Invoke the function with this slug or UUID in one transaction (events.md §4, §8.4).

    The payload has `data`, `user`, `v` and `meta` of an event; `size` is its length in bytes.
    Further calls with the same key within 24 hours raise Conflict and store nothing. Raises
    NotFound for an unknown function, Invalid for a bad payload. An operator's act is written to
    the audit log with it.
    """

    def write(tx: Connection) -> tuple[Invoked, Started]:
        now = ctx.now()
        function = _find(tx, ctx, slug)
        given = payload if idempotency_key is None else payload | {"id": idempotency_key}
        now_ms = int(now.timestamp() * 1000)
        event = parse_invocation(given, size, now_ms, ctx.new_id(now), function.slug)
        started = write_events(tx, ctx, [event])
        mine = [run_id for run_id, _, event_id in started.runs if event_id == event.id]
        if not mine and event.external_id != event.id:
            _refuse_repeated(tx, function, event.external_id, now)
        run_id = mine[0] if mine else None
        audit.note(tx, by, now, "function.invoke", function.slug, run_id or event.id)
        return Invoked(event.id, run_id), started

    done, started = ctx.committer.run_once(write)
    started.send(ctx)
    return done


def check_known(ctx: Context, slug: str) -> None:
    """Raise NotFound unless an unarchived function has this slug or UUID."""
    with ctx.db.reading() as tx:
        _find(tx, ctx, slug)


def _find(tx: Connection, ctx: Context, slug: str) -> Function:
    ctx.catalog.refresh(tx)
    function = ctx.catalog.by_slug.get(slug) or ctx.catalog.by_id.get(slug)
    if function is None:
        raise NotFound(f"function {slug[:255]!r} does not exist")
    return function


def _refuse_repeated(tx: Connection, function: Function, key: str, now: datetime) -> None:
    """Raise Conflict if the key has a run of the function; two calls at once wait for its row."""
    run_id = events.run_of_key(tx, f"{function.id}:{key}", now)
    if run_id is not None:
        raise Conflict(
            f"the idempotency key was used for run {run_id}: send a new one to run again",
            code="idempotency_conflict",
        )


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
