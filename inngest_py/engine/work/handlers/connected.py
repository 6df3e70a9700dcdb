"""A request to an app whose workers are connected, over the connection of one of them."""

from functools import lru_cache
from urllib.parse import parse_qs, urlsplit

import orjson

from .... import observe
from ....domain.connect import calls
from ....domain.connect.calls import Request
from ....domain.reply.read import Reply
from ....domain.reply.request import DISCOVERY
from ....storage.queue import connect_leases, waiting_lines
from ...flow import concurrency
from ...runtime.app_fairness import CONNECTED, LINE_PREFIX
from ...runtime.connections import Lost, NoWorker
from ...runtime.context import Context
from ...runtime.jobs import Job


def ask_worker(ctx: Context, job: Job, body: bytes, traceparent: str) -> Reply | None:
    """Send a request to a connected worker and wait for the answer.

    None means that the item is free for another call, and that no attempt counts: no worker is
    connected here with room, or the one that had the request is gone.
    """
    asked = _request(ctx, job, body, traceparent)
    try:
        outcome = ctx.connections.call(job.function.app_id, asked, job.item)
    except NoWorker:
        _wait_for_worker(ctx, job)
        return None
    if isinstance(outcome, Lost):
        if not outcome.is_left:
            _free(ctx, job)
        return None
    return outcome


def _request(ctx: Context, job: Job, body: bytes, traceparent: str) -> Request:
    function, item = job.function, job.item
    now = ctx.now()
    return Request(
        id=calls.request_id(item),
        lease_id=ctx.new_id(now + calls.LEASE),
        app_id=function.app_id,
        app_name=function.app_name,
        function_id=function.id,
        function_slug=_name(function.url) or function.slug,
        step=item.step or DISCOVERY,
        run_id=job.run.id,
        job_id=item.id,
        payload=body,
        # the TypeScript SDK reads a context with both members only
        trace=orjson.dumps({"traceparent": traceparent, "tracestate": ""}),
    )


@lru_cache(maxsize=1024)
def _name(url: str) -> str | None:
    """Read what the worker calls the function; reading it takes 10 µs."""
    return parse_qs(urlsplit(url).query).get("fnId", [None])[0]


def _wait_for_worker(ctx: Context, job: Job) -> None:
    """Let the item wait in the line of its app, until a worker with room is connected."""
    place = CONNECTED + job.function.app_id
    line = LINE_PREFIX + place
    ctx.committer.run_alone(lambda tx: waiting_lines.give_back(tx, [job.item], line))
    ctx.fairness.note_line(place)
    ctx.connections.tell([job.function.app_id])


def _free(ctx: Context, job: Job) -> None:
    """Give the item of a lost worker to another one, at once."""
    item, now = job.item, ctx.now()
    with ctx.db.transaction() as tx:
        freed = connect_leases.free_lost(tx, item, now)
        hints = concurrency.pass_on_slots(tx, ctx, freed, now)
    if freed:
        observe.event("worker.lost", level=30, item_id=item.id, run_id=item.run_id)
        ctx.hints.send([*hints, (item.kind, item.id)])
