"""The steps of `inngest_py.sdk.steps`, in async functions."""

from datetime import timedelta
from typing import Any

import inngest

from inngest_py.sdk import steps

from .creating import Made, create
from .effects import Effects


def define(client: inngest.Inngest, effects: Effects) -> Made:
    """Make the functions, each triggered by `<app>/<name>`."""
    return [*_waits(client), *_groups(client), *_defers(client, effects), *_bad(client)]


def _waits(client: inngest.Inngest) -> Made:
    async def slept(ctx: inngest.Context) -> Any:
        await steps.sleep(ctx, "by words", "1 second")
        await steps.sleep(ctx, "by length", timedelta(milliseconds=600))
        return "slept"

    async def signalled(ctx: inngest.Context) -> Any:
        found = await steps.wait_for_signal(
            ctx, "wait", signal=f"go/{ctx.run_id}", timeout="1 minute"
        )
        late = await steps.wait_for_signal(ctx, "late", signal=f"no/{ctx.run_id}", timeout="1s")
        return [found and [found.name == f"go/{ctx.run_id}", found.data], late]

    async def fetched(ctx: inngest.Context) -> Any:
        url = str(ctx.event.data["url"])
        sent = await steps.fetch(ctx, "post", f"{url}/echo", method="post", json={"n": [1]})
        missing = await steps.fetch(ctx, "get", f"{url}/nothing", headers={"X-Given": "1"})
        try:
            missing.raise_for_status()
        except inngest.NonRetriableError as error:
            refused = str(error)
        return [sent.status, sent.json(), missing.status, missing.ok, refused]

    return create(client, slept, signalled, fetched)


def _groups(client: inngest.Inngest) -> Made:
    async def side_by_side(ctx: inngest.Context) -> Any:
        url = str(ctx.event.data["url"])
        found = await ctx.group.parallel(
            (
                lambda: steps.wait_for_signal(
                    ctx, "wait", signal=f"go/{ctx.run_id}", timeout="1 minute"
                ),
                lambda: steps.fetch(ctx, "post", f"{url}/echo", method="POST", json="x"),
                lambda: steps.metadata(ctx, "note", {"n": 1}),
            )
        )
        return [found[0].data, found[1].json(), found[2]]

    async def looked_back(ctx: inngest.Context) -> Any:
        event = f"{client.app_id}/told"
        mine = f"async.data.run == '{ctx.run_id}'"

        def wait(name: str, timeout: str) -> Any:
            return steps.wait_for_event(
                ctx, name, event=event, if_exp=mine, timeout=timeout, look_back=True
            )

        sent = [inngest.Event(name=event, data={"run": ctx.run_id, "n": n}) for n in (1, 2)]
        await ctx.step.send_event("send", sent)
        found = [await wait("first", "1 minute"), await wait("second", "1 minute")]
        return [[one.data["n"] for one in found], await wait("third", "1s")]

    return create(client, side_by_side, looked_back)


def _defers(client: inngest.Inngest, effects: Effects) -> Made:
    async def later(ctx: inngest.Context) -> None:
        data: Any = ctx.event.data
        effects.note(data["_inngest"]["parent_run_id"], data["which"], ctx.attempt)

    trigger = steps.deferred_trigger(client, "later")
    deferred = client.create_function(fn_id="later", trigger=trigger)(later)

    async def deferring(ctx: inngest.Context) -> Any:
        await steps.defer(ctx, "kept", function=deferred, data={"which": "kept"})
        dropped = await steps.defer(ctx, "dropped", function=deferred, data={"which": "dropped"})
        await dropped.abort(ctx)
        by_name = f"{client.app_id}-later"
        await steps.defer(ctx, "kept", function=by_name, data={"which": "again"})
        await steps.metadata(ctx, "rows", {"rows": 7, "dropped": 1}, kind="counts")
        await steps.metadata(ctx, "more rows", {"rows": 2}, kind="counts", change="add")
        await steps.metadata(ctx, "fewer", {"dropped": None}, kind="counts", change="delete")
        await steps.metadata(ctx, "own", {"of": "step"}, of="step")
        return "done"

    return [deferred, *create(client, deferring)]


def _bad(client: inngest.Inngest) -> Made:
    async def bad(ctx: inngest.Context) -> Any:
        given: Any = ctx.event.data
        helper = getattr(steps, given["helper"])
        return await helper(ctx, *given["args"], **given["kwargs"])

    return create(client, bad)
