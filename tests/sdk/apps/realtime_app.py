"""A Python app that publishes: `python -m tests.sdk.apps.realtime_app KIND PORT`.

Each function is there twice, blocking and async. EFFECTS names the effects log.
"""

import datetime
import logging
import os
import sys
from typing import Any

import fastapi
import inngest
import inngest.fast_api
import uvicorn

from inngest_py.sdk import realtime

from .effects import Effects

A_WHILE = datetime.timedelta(milliseconds=500)


def _blocking(client: inngest.Inngest, effects: Effects) -> list[Any]:
    def told(ctx: inngest.ContextSync) -> str:
        effects.note(ctx.run_id, "body", ctx.attempt)
        channel = str(ctx.event.data["channel"])
        realtime.publish(ctx, channel, "status", {"n": 1})
        ctx.step.sleep("rest", A_WHILE)
        ctx.step.run("work", lambda: realtime.publish(ctx, channel, "status", "in a step"))
        ctx.group.parallel(
            (
                lambda: realtime.publish(ctx, channel, "status", "side"),
                lambda: realtime.publish(ctx, channel, "status", "by side", step_id="beside"),
            )
        )
        realtime.publish(ctx, channel, "status", None)
        return "told"

    def refused(ctx: inngest.ContextSync) -> None:
        effects.note(ctx.run_id, "body", ctx.attempt)
        realtime.publish(ctx, str(ctx.event.data["channel"]), "status", "x" * 600_000)

    return [_function(client, "blocking", body) for body in (told, refused)]


def _async(client: inngest.Inngest, effects: Effects) -> list[Any]:
    async def told(ctx: inngest.Context) -> str:
        effects.note(ctx.run_id, "body", ctx.attempt)
        channel = str(ctx.event.data["channel"])
        await realtime.publish(ctx, channel, "status", {"n": 1})
        await ctx.step.sleep("rest", A_WHILE)

        async def work() -> None:
            await realtime.publish(ctx, channel, "status", "in a step")

        await ctx.step.run("work", work)
        await ctx.group.parallel(
            (
                lambda: realtime.publish(ctx, channel, "status", "side"),
                lambda: realtime.publish(ctx, channel, "status", "by side", step_id="beside"),
            )
        )
        await realtime.publish(ctx, channel, "status", None)
        return "told"

    async def refused(ctx: inngest.Context) -> None:
        effects.note(ctx.run_id, "body", ctx.attempt)
        await realtime.publish(ctx, str(ctx.event.data["channel"]), "status", "x" * 600_000)

    return [_function(client, "async", body) for body in (told, refused)]


def _function(client: inngest.Inngest, style: str, body: Any) -> Any:
    name = f"{body.__name__}-{style}"
    trigger = inngest.TriggerEvent(event=f"{client.app_id}/{name}")
    return client.create_function(fn_id=name, trigger=trigger)(body)


def main(kind: str, port: int) -> None:
    """Serve until killed."""
    client = inngest.Inngest(app_id=kind, logger=logging.getLogger("sdk"))
    effects = Effects(os.environ["EFFECTS"])
    app = fastapi.FastAPI()
    inngest.fast_api.serve(app, client, [*_blocking(client, effects), *_async(client, effects)])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
