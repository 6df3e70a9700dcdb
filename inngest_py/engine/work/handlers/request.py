"""A request to the app."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from .... import observe
from ....domain.reply import decide, durable_endpoint, request, timeouts
from ....domain.reply.plans import Plan, Policy
from ....domain.reply.read import Reply
from ....domain.runs.items import Item
from ....domain.values.urls import is_connect
from ....storage.db.outages import logged, outage
from ....storage.queue import leases
from ...runtime import signed_requests
from ...runtime.context import Context
from ...runtime.jobs import Job
from .. import signals
from ..writes import Call
from .connected import ask_worker
from .policy import retry_policy


def send_request(ctx: Context, job: Job) -> tuple[Plan, Call] | None:
    """Call the SDK and decide what its answer means; None if no connected worker answers now."""
    started_at = ctx.now()
    over = decide.overflow(job.run)
    late = timeouts.exceeded(job.function.config.timeouts, job.run, started_at)
    if late is not None:
        over = timeouts.cancelled("TimeoutExceeded", late.message)
    if over is not None:
        return over, Call(started_at, started_at)
    policy = retry_policy(ctx, job)
    request_id = ctx.new_id(started_at)
    reply: Reply | None
    if job.run.endpoint is None:
        url, reply = job.function.url, _ask(ctx, job, policy, request_id)
        if reply is None:
            return None
    else:
        call = durable_endpoint.request_to_endpoint(job.run, job.item, request_id=request_id)
        reply = signed_requests.send(
            ctx, call.method, call.url, call.headers, call.body, signs=call.signed
        )
        ctx.apps_down.note(job.function.app_id, reply, ctx.now())
        url, reply = call.url, durable_endpoint.answer(reply)
    return answered(ctx, job, policy, url, reply, started_at, request_id)


def answered(
    ctx: Context,
    job: Job,
    policy: Policy,
    url: str,
    reply: Reply,
    started_at: datetime,
    request_id: str,
) -> tuple[Plan, Call]:
    """Decide what an app's answer means, now that it has come."""
    ended_at = ctx.now()
    item = _as_it_is_now(ctx, job.item)
    ahead = ended_at - ctx.real_now() if ctx.real_clock is not None else timedelta(0)
    made = decide.plan(job.run, item, policy, reply, ended_at, ctx.jitter(), ahead)
    worker = reply.worker or ctx.worker_name
    done = Call(started_at, ended_at, reply.status or None, worker)
    signals.call(job, "app", url, request_id, made, done)
    return made, done


def _ask(ctx: Context, job: Job, policy: Policy, request_id: str) -> Reply | None:
    body = request.body(
        job.run, job.item, job.memo, max_attempts=policy.max_attempts, request_id=request_id
    )
    headers = request.headers(job.run, job.item, request_id=request_id)
    if is_connect(job.function.url):
        return ask_worker(ctx, job, body, headers["traceparent"])
    url = request.url(job.function.url, job.item)
    reply = signed_requests.send(ctx, "POST", url, headers, body)
    ctx.apps_down.note(job.function.app_id, reply, ctx.now())
    return reply


def _as_it_is_now(ctx: Context, item: Item) -> Item:
    """Read a retried item's attempt again: checkpoints of its own request restart the count."""
    if not item.attempt:
        return item
    try:
        with ctx.db.reading() as tx:
            attempt = leases.attempt_of(tx, item)
    except SQLAlchemyError as error:  # the answer matters more than the exact attempt
        if not outage(error):
            observe.event("item.failed", level=40, item_id=item.id, **logged(error))
        return item
    return item if attempt is None else replace(item, attempt=attempt)
