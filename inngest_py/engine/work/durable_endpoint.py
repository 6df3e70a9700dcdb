"""Durable endpoints: runs that an SDK executes in its caller's own request (checkpointing.md §3).

The run's item is leased to the SDK. Each call of the SDK extends the lease. An opcode that has to
wait consumes the item as an answer would, and workers continue the run. When the SDK falls silent,
the lease lapses and workers continue as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeGuard

from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from ... import observe
from ...domain.errors import Conflict, InngestPyError, NotFound, RateLimited
from ...domain.reply import decide
from ...domain.reply.checkpoint import Checkpoint, Dispatch
from ...domain.reply.durable_endpoint import NewRun
from ...domain.reply.plans import Plan, Policy
from ...domain.reply.read import Generated
from ...domain.runs import metadata
from ...domain.runs.items import SDK, Item, ItemKind, ItemState
from ...domain.runs.runs import Run, RunStatus
from ...domain.steps.defers import read as read_defers
from ...domain.steps.opcodes import LAZY, STORED, Op, Opcode
from ...domain.values import canonical
from ...storage.catalog import functions
from ...storage.events import events
from ...storage.queries import app_list, function_list, run_lookups
from ...storage.queue import leases, load_runs, queue_items
from ...storage.runs import runs
from ..apps import reaching
from ..flow import limits, rate_limits
from ..intake import search_keys
from ..runtime.catalog import function_of
from ..runtime.context import Context
from ..runtime.jobs import Job
from . import checkpoint
from .apply import apply_all
from .signals import committed
from .writes import Applied, Call, PlanWrite

# How long an SDK may take from one call to the next.
SILENCE = timedelta(minutes=15)
_RETRY = timedelta(seconds=5)
_IN_REQUEST = STORED | LAZY | {Opcode.NONE}


@dataclass(slots=True)
class _Written:
    """What a transaction made of opcodes; its signals are sent after the commit."""

    stored: checkpoint.CheckpointWrite | None = None
    job: Job | None = None
    made: Plan = field(default_factory=Plan)
    done: Applied = field(default_factory=Applied)

    def send(self, ctx: Context) -> None:
        if self.stored is not None:
            checkpoint.send_signals(self.stored)
        if self.job is not None:
            committed(ctx, self.job, self.made, self.done)


def create(ctx: Context, new: NewRun) -> str:
    """Write a run that an SDK has begun, with its app, its function and its first opcodes.

    Returns the function's id. Raises Invalid when its origin is out of reach, Conflict for a run
    that exists, and RateLimited when the function's rate limit has no room (only an override gives
    an endpoint one).
    """

    reaching.check(ctx.tuning.reach, [new.domain])

    def write(tx: Connection) -> _Written:
        now = ctx.now()
        if run_lookups.function_of(tx, new.run_id) is not None:
            raise Conflict(f"run {new.run_id} exists already")
        row = _admit(tx, new, function_id, now)
        _begin(tx, new, function_id, int(row["version"]), now)
        if row["search_keys"] is not None:
            keys = function_of(row).search_keys
            search_keys.of_run(tx, keys, new.run_id, new.event.payload)
        return _write_ops(tx, ctx, new.run_id, new.ops, now)

    # first, in a transaction of its own: writing the run reads the catalogue, which must never see
    # a function that may be rolled back
    function_id = _registered(ctx, new)
    try:
        written = ctx.committer.run_once(write)
    except IntegrityError:
        raise Conflict(f"run {new.run_id} exists already") from None
    about = {"run_id": new.run_id, "function_id": function_id}
    observe.send(observe.run_queued, event_id=new.event.id, **about)
    observe.send(observe.run_started, **about)
    written.send(ctx)
    return function_id


def append(ctx: Context, run_id: str, ops: Sequence[Op]) -> None:
    """Write further opcodes of a run that its SDK executes.

    Raises NotFound, LeaseLost, RunGone and others of the package's errors when nothing is written:
    the run is unknown, has ended, or is continued by workers.
    """

    def write(tx: Connection) -> _Written:
        return _write_ops(tx, ctx, run_id, ops, ctx.now())

    ctx.committer.run_once(write).send(ctx)


def _write_ops(
    tx: Connection, ctx: Context, run_id: str, ops: Sequence[Op], now: datetime
) -> _Written:
    found = load_runs.load(tx, [run_id]).get(run_id)
    if found is None or found[0].endpoint is None:
        raise NotFound(f"run {run_id} is not that of an endpoint")
    if not ops:
        return _Written()
    run, revision = found
    if all(op.code in _IN_REQUEST for op in ops):
        return _Written(stored=_store(tx, run, ops, now))
    function = ctx.catalog.get(tx, run.function_id, revision)
    item = _item(run, now)
    linear, own = ctx.tuning.linear_retry or _RETRY, limits.backoff(function, now)
    policy = Policy(function.config.retries, linear, own)
    meaning = Generated(list(ops), run.request_version, no_retry=None, retry_after=None)
    made = decide.plan_of_ops(run, item, policy, meaning, now, ctx.jitter())
    [done] = apply_all(tx, [PlanWrite(ctx, run, item, made, Call(now, now), wants_next=False)])
    return _Written(job=Job(item, run, function, {}), made=made, done=done)


def _store(
    tx: Connection, run: Run, ops: Sequence[Op], now: datetime
) -> checkpoint.CheckpointWrite:
    results = [decide.result_of(op, failed=False) for op in ops if op.code in STORED]
    given = Checkpoint(
        Dispatch(run.id, run.id, 0),
        [result for result, _ in results],
        [entry for _, entry in results],
        read_defers(ops),
        metadata.of_ops(ops, 0),
    )
    [written] = checkpoint.store_all(tx, [checkpoint.CheckpointWrite(run.id, given, now)])
    leases.extend_one(tx, run.id, now + SILENCE)
    return written


def _item(run: Run, now: datetime) -> Item:
    """Build the item that is leased to the run's SDK: its id and lease id are the run's id."""
    return Item(run.id, ItemKind.EDGE, run.id, run.id, 0, now, now, generation=0)


def _registered(ctx: Context, new: NewRun) -> str:
    """Find the endpoint's function, or make it and its app; return the function's id."""
    with ctx.db.reading() as tx:
        app, known = _known(tx, new)
    if app is not None and app["archived_at"] is None and _is_as(known, new):
        return str(known["id"])
    return ctx.committer.run_alone(lambda tx: _register(tx, new, ctx.now()))


def _known(tx: Connection, new: NewRun) -> tuple[RowMapping | None, RowMapping | None]:
    app = app_list.by_name(tx, new.domain)
    if app is None:
        return None, None
    listed = function_list.every(tx, app_id=app["id"])
    return app, next((row for row in listed if row["slug"] == new.config.slug), None)


def _is_as(known: RowMapping | None, new: NewRun) -> TypeGuard[RowMapping]:
    if known is None or known["archived_at"] is not None:
        return False
    return bool(known["config"] == new.config.to_json())


def _register(tx: Connection, new: NewRun, now: datetime) -> str:
    config = new.config
    app, known = _known(tx, new)
    app_id = app["id"] if app is not None else new.app_id
    if app is None:
        values = {"id": app_id, "name": new.domain, "url": new.domain, "method": "api"}
        functions.put_app(tx, values | {"created_at": now, "synced_at": now, "error": None})
    elif app["archived_at"] is not None:
        functions.restore_app(tx, app_id)
    if _is_as(known, new):
        return str(known["id"])
    function_id = str(known["id"]) if known is not None else new.function_id(app_id)
    version = known["version"] + 1 if known is not None else 1
    functions.put_function(
        tx,
        {
            "id": function_id,
            "app_id": app_id,
            "slug": config.slug,
            "name": config.name,
            "url": config.url,
            "version": version,
            "config": config.to_json(),
            "created_at": now,
            "updated_at": now,
            "archived_at": None,
        },
    )
    functions.renew_catalog_version(tx)
    return function_id


def _admit(tx: Connection, new: NewRun, function_id: str, now: datetime) -> RowMapping:
    """Charge the function's rate limit; return the function's row."""
    row = functions.function(tx, function_id)
    if row is None:
        raise Conflict(f"{new.config.slug} was deleted meanwhile: send the run again")
    if row["limits"] is not None:  # SDKs give endpoints no limits
        function, payload = function_of(row), new.event.payload
        if not rate_limits.admits(tx, function, lambda: canonical.loads(payload), now):
            raise RateLimited(f"{new.config.slug} is over its rate limit")
    return row


def _begin(tx: Connection, new: NewRun, function_id: str, version: int, now: datetime) -> None:
    event = new.event
    events.add(
        tx,
        [
            {
                "id": event.id,
                "external_id": event.external_id,
                "name": event.name,
                "payload": event.payload,
                "ts": now,
                "received_at": now,
                "internal": True,
            }
        ],
    )
    run = {
        "id": new.run_id,
        "function_id": function_id,
        "function_version": version,
        "event_id": event.id,
        "status": RunStatus.RUNNING.value,
        "queued_at": now,
        "started_at": now,
        "request_version": new.request_version,
        "force_plan": True,
        "endpoint": new.encoding,
    }
    runs.add(tx, [run])
    queue_items.put(
        tx,
        [
            queue_items.new_row(
                new.run_id,
                ItemKind.EDGE,
                new.run_id,
                new.run_id,
                due_at=now,
                now=now,
                state=ItemState.LEASED.value,
                hint_at=now,
                lease_id=new.run_id,
                lease_until=now + SILENCE,
                worker=SDK,
                generation=0,
            )
        ],
    )


def refused(run_id: str, error: InngestPyError) -> None:
    """Log opcodes that were not written; their SDK gets a good answer all the same (§3.2)."""
    observe.event("endpoint.refused", level=30, run_id=run_id, error=error.message)
