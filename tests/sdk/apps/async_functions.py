"""The scenarios' functions with the Python SDK's asyncio interface."""

import datetime
from collections.abc import Awaitable, Callable
from typing import Any

import inngest

from .effects import Effects

LARGE = "x" * 1_500_000
Body = Callable[[], Awaitable[Any]]
Handler = Callable[[inngest.Context], Awaitable[Any]]


class Steps:
    """Makes step bodies that leave their mark in the effects log."""

    def __init__(self, effects: Effects) -> None:
        self.effects = effects

    def value(self, ctx: inngest.Context, step: str, value: Any) -> Body:
        """A body that returns the value."""

        async def body() -> Any:
            self.effects.note(ctx.run_id, step, ctx.attempt)
            return value

        return body

    def failing(
        self, ctx: inngest.Context, step: str, error: Exception, times: int = 1_000
    ) -> Body:
        """A body that raises the first times and then says how often it was called."""

        async def body() -> Any:
            count = self.effects.note(ctx.run_id, step, ctx.attempt)
            if count <= times:
                raise error
            return count

        return body


def _plain(steps: Steps) -> dict[str, Handler]:
    async def noop(ctx: inngest.Context) -> Any:
        steps.effects.note(ctx.run_id, "body", ctx.attempt)
        return {"ok": True, "echo": ctx.event.data}

    async def sequential(ctx: inngest.Context) -> Any:
        return [await ctx.step.run(s, steps.value(ctx, s, n)) for n, s in enumerate("abc", 1)]

    async def parallel(ctx: inngest.Context) -> Any:
        found = await ctx.group.parallel(
            tuple(
                (lambda s=s, n=n: ctx.step.run(s, steps.value(ctx, s, n)))
                for n, s in enumerate("abc", 1)
            )
        )
        return await ctx.step.run("sum", steps.value(ctx, "sum", sum(found)))

    async def sleep(ctx: inngest.Context) -> Any:
        await ctx.step.run("before", steps.value(ctx, "before", None))
        await ctx.step.sleep("rest", datetime.timedelta(seconds=1))
        return await ctx.step.run("after", steps.value(ctx, "after", "rested"))

    async def large(ctx: inngest.Context) -> Any:
        return sum([len(await ctx.step.run(s, steps.value(ctx, s, LARGE))) for s in "abc"])

    async def nap(ctx: inngest.Context) -> Any:
        await ctx.step.sleep("nap", datetime.timedelta(hours=1))

    async def given(ctx: inngest.Context) -> Any:
        async def body(value: Any) -> Any:
            return await steps.value(ctx, "given", value)()

        await ctx.step.run("first", steps.value(ctx, "first", 1))
        return await ctx.step.run("given", body, "old")

    return {
        "nap": nap,
        "given": given,
        "noop": noop,
        "sequential": sequential,
        "parallel": parallel,
        "sleep": sleep,
        "large": large,
    }


def _failing(steps: Steps) -> dict[str, Handler]:
    async def retry(ctx: inngest.Context) -> Any:
        return await ctx.step.run("flaky", steps.failing(ctx, "flaky", ValueError("not yet"), 2))

    async def function_retry(ctx: inngest.Context) -> Any:
        return await steps.failing(ctx, "body", ValueError("not yet"), 2)()

    async def no_retry(ctx: inngest.Context) -> Any:
        error = inngest.NonRetriableError("never")
        return await ctx.step.run("hopeless", steps.failing(ctx, "hopeless", error))

    async def retry_after(ctx: inngest.Context) -> Any:
        error = inngest.RetryAfterError("later", datetime.timedelta(seconds=3))
        return await ctx.step.run("later", steps.failing(ctx, "later", error, 1))

    async def failure(ctx: inngest.Context) -> Any:
        return await ctx.step.run("boom", steps.failing(ctx, "boom", ValueError("boom")))

    async def caught(ctx: inngest.Context) -> Any:
        try:
            await ctx.step.run("bad", steps.failing(ctx, "bad", ValueError("bad luck")))
        except inngest.StepError as error:
            message = error.message
        return await ctx.step.run("after", steps.value(ctx, "after", {"caught": message}))

    return {
        "retry": retry,
        "function_retry": function_retry,
        "no_retry": no_retry,
        "retry_after": retry_after,
        "failure": failure,
        "caught": caught,
    }


def define(client: inngest.Inngest, effects: Effects) -> list[inngest.Function[Any]]:
    """Make every function, each triggered by `<app>/<scenario>`."""
    steps = Steps(effects)
    app = client.app_id

    async def send(ctx: inngest.Context) -> Any:
        child = inngest.Event(name=f"{app}/child", data={"parent": ctx.run_id})
        return await ctx.step.send_event("send", child)

    async def child(ctx: inngest.Context) -> Any:
        effects.note(ctx.run_id, "child", ctx.attempt, parent=ctx.event.data["parent"])
        return "grown up"

    async def on_failure(ctx: inngest.Context) -> Any:
        data = ctx.event.data
        effects.note(str(data["run_id"]), "on_failure", ctx.attempt, error=data["error"])

    retries = {"failure": 0, "caught": 0}
    handlers = {**_plain(steps), **_failing(steps), "send": send, "child": child}
    return [
        client.create_function(
            fn_id=name,
            trigger=inngest.TriggerEvent(event=f"{app}/{name}"),
            retries=retries.get(name, 3),
            on_failure=on_failure if name == "failure" else None,
        )(handler)
        for name, handler in handlers.items()
    ]
