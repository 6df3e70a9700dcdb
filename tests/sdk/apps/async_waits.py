"""The scenarios that wait, with the Python SDK's asyncio interface."""

import datetime
from typing import Any

import inngest

from .creating import Made, create

SECOND = datetime.timedelta(seconds=1)
MINUTE = datetime.timedelta(minutes=1)


def define(client: inngest.Inngest) -> Made:
    """Make the functions, each triggered by `<app>/<scenario>`."""
    children = _children(client)
    return [*children, *_waits(client), *_invokes(client, *children)]


async def _error_of(call: Any) -> Any:
    try:
        await call()
    except inngest.StepError as error:
        return [error.name, error.message]
    return None


def _children(client: inngest.Inngest) -> Made:
    async def invoked(ctx: inngest.Context) -> Any:
        async def look() -> Any:
            return ctx.event.data["n"]

        return {"got": await ctx.step.run("look", look)}

    async def invoked_fails(ctx: inngest.Context) -> Any:
        raise inngest.NonRetriableError("child broke")

    async def invoked_sleeps(ctx: inngest.Context) -> Any:
        await ctx.step.sleep("long", MINUTE)

    return create(client, invoked, invoked_fails, invoked_sleeps)


def _waits(client: inngest.Inngest) -> Made:
    app = client.app_id

    async def _wait(ctx: inngest.Context, wanted: int, timeout: datetime.timedelta) -> Any:
        """Wait beside a step that sends an event of number 1 and one of number 2."""
        event = f"{app}/awaited"
        paid = [inngest.Event(name=event, data={"n": n, "run": ctx.run_id}) for n in (1, 2)]
        condition = f"async.data.run == '{ctx.run_id}' && async.data.n == {wanted}"
        found, _ = await ctx.group.parallel(
            (
                lambda: ctx.step.wait_for_event(
                    "wait", event=event, if_exp=condition, timeout=timeout
                ),
                lambda: ctx.step.send_event("send", paid),
            )
        )
        return None if found is None else [found.name, found.data["n"]]

    async def wait(ctx: inngest.Context) -> Any:
        return await _wait(ctx, 2, MINUTE)

    async def wait_in_vain(ctx: inngest.Context) -> Any:
        return await _wait(ctx, 3, SECOND)

    async def wait_timeout(ctx: inngest.Context) -> Any:
        found = await ctx.step.wait_for_event("wait", event=f"{app}/never", timeout=SECOND)
        return "timed out" if found is None else found.name

    return create(client, wait, wait_in_vain, wait_timeout)


def _invokes(client: inngest.Inngest, child: Any, failing: Any, sleeping: Any) -> Made:
    app = client.app_id

    async def invoke(ctx: inngest.Context) -> Any:
        return await ctx.step.invoke("call", function=child, data={"n": 7})

    async def invoke_by_id(ctx: inngest.Context) -> Any:
        return await ctx.step.invoke_by_id("call", app_id=app, function_id="invoked", data={"n": 8})

    async def invoke_many(ctx: inngest.Context) -> Any:
        return await ctx.group.parallel(
            tuple(
                (lambda n=n: ctx.step.invoke(f"call-{n}", function=child, data={"n": n}))
                for n in range(3)
            )
        )

    async def invoke_fails(ctx: inngest.Context) -> Any:
        return await _error_of(lambda: ctx.step.invoke("call", function=failing))

    async def invoke_timeout(ctx: inngest.Context) -> Any:
        return await _error_of(lambda: ctx.step.invoke("call", function=sleeping, timeout=SECOND))

    async def invoke_unknown(ctx: inngest.Context) -> Any:
        return await _error_of(lambda: ctx.step.invoke_by_id("call", function_id="nobody"))

    return create(
        client,
        invoke,
        invoke_by_id,
        invoke_many,
        invoke_fails,
        invoke_timeout,
        invoke_unknown,
    )
