"""What connected workers say of calls that nobody waits for here.

A worker outlives its connection and the process that held it. So its answer may come to another
process, or by `/v0/connect/flush`, and it may go on with a call that another process sent.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from ... import observe
from ...domain.connect import calls
from ...domain.connect.calls import RequestKey
from ...domain.errors import Invalid
from ...domain.reply.read import Reply
from ...domain.runs import made_by
from ...domain.runs.items import ItemKind
from ...storage.queue import connect_leases
from ..flow import concurrency
from ..runtime.connections import Connected
from ..runtime.context import Context
from ..runtime.jobs import Job
from ..work import signals
from ..work.claims import load
from ..work.handlers.policy import retry_policy
from ..work.handlers.request import answered
from ..work.run_item import plan_again, write_plan


def take(ctx: Context, request_id: str, reply: Reply, connection: Connected | None) -> bool:
    """Take a worker's answer; say whether it may be acknowledged at once.

    False means that the call that waited for it acknowledges it, once it is stored. An answer that
    nobody needs any more is dropped. Raises SQLAlchemyError when it could not be stored.
    """
    if connection is not None:
        reply = replace(reply, worker=made_by.connected(connection.instance))
    if ctx.connections.answer(request_id, reply, connection):
        return False
    try:
        key = calls.read_request_id(request_id)
    except Invalid:
        return True
    _store(ctx, key, request_id, reply)
    return True


def _store(ctx: Context, key: RequestKey, request_id: str, reply: Reply) -> None:
    now = ctx.now()
    until = now + ctx.tuning.lease

    def taken(tx: Connection) -> list[Job]:
        item = connect_leases.take_over(
            tx, key.item_id, key.generation, ctx.new_id(now), until, ctx.worker_id
        )
        return [] if item is None else load(tx, ctx, [item])

    jobs = ctx.committer.run_alone(taken)
    for job in jobs:
        ctx.leases.hold(job.item)
        try:
            _written(ctx, job, request_id, reply)
        finally:
            ctx.leases.drop(job.item)
    observe.event("connect.late_answer", level=20, item_id=key.item_id, is_stored=bool(jobs))


def _written(ctx: Context, job: Job, request_id: str, reply: Reply) -> None:
    policy, url = retry_policy(ctx, job), job.function.url
    made, call = answered(ctx, job, policy, url, reply, job.item.due_at, request_id)
    try:
        done = write_plan(ctx, job, made, call, wants_next=False)
    except Exception as error:
        made = plan_again(ctx, job, made, error)
        done = write_plan(ctx, job, made, call, wants_next=False)
    if done is not None:
        signals.committed(ctx, job, made, done)


def extend(ctx: Context, request_id: str, connection: Connected) -> str | None:
    """Let a worker go on with a request; None if it must drop it.

    Returns the id of its new lease. Raises SQLAlchemyError when nobody can tell.
    """
    now = ctx.now()
    lease = ctx.new_id(now + calls.LEASE)
    try:
        key = calls.read_request_id(request_id)
    except Invalid:
        return None
    with ctx.db.transaction() as tx:
        goes_on = connect_leases.extend(
            tx, key.item_id, key.generation, now + calls.LEASE, key.lease_id
        )
    if not goes_on:
        ctx.connections.lose(request_id)
        return None
    ctx.connections.go_on(request_id, connection)
    return lease


def free_left(ctx: Context, request_ids: Sequence[str], gone_at: datetime) -> None:
    """Give calls that other processes had sent to other workers: this one's connection was cut.

    Those that were heard of since, here or by another process, stay.
    """
    for request_id in request_ids:
        key, now = calls.read_request_id(request_id), ctx.now()
        if ctx.connections.has(request_id):
            continue
        with ctx.db.transaction() as tx:
            until = gone_at + calls.LEASE
            freed = connect_leases.free_left(tx, key.item_id, key.generation, until, now)
            hints = concurrency.pass_on_slots(tx, ctx, freed, now)
        for row in freed:
            observe.event("worker.lost", level=30, item_id=row.id, run_id=row.run_id)
            ctx.hints.send([*hints, (ItemKind(row.kind), row.id)])


def hand_over(ctx: Context, *, everything: bool) -> int:
    """Leave calls to workers that are not connected here any more, or all; return how many.

    For a process that stops: the answers come to another one.
    """
    held = dict(ctx.leases.all())
    names = {calls.read_request_id(name).item_id: name for name in ctx.connections.left(everything)}
    mine = [(item_id, held[item_id]) for item_id in names if item_id in held]
    if not mine:
        return 0
    with ctx.db.transaction() as tx:
        connect_leases.hand_over(tx, mine, ctx.now() + calls.LEASE)
    for item_id, lease_id in mine:
        ctx.leases.let_go((item_id, lease_id))
        ctx.connections.leave(names[item_id])
    return len(mine)
