"""Functions of connected workers: steps that last until a file exists, or for a time."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import inngest

from .creating import Made
from .effects import Effects

Handler = Callable[[inngest.Context], Awaitable[Any]]


def define(client: inngest.Inngest, effects: Effects, instance: str) -> Made:
    """Make the functions."""
    one_at_a_time = [inngest.Concurrency(limit=1)]
    return [
        client.create_function(
            fn_id=name,
            trigger=inngest.TriggerEvent(event=f"{client.app_id}/{name}"),
            retries=retries,
            concurrency=limits,
        )(handler)
        for name, handler, retries, limits in (
            ("held", _held(effects, instance), 1, None),
            ("five", _five(effects, instance), 4, None),
            ("limited", _limited(effects), 4, one_at_a_time),
            ("oversized", _oversized(effects), 1, None),
        )
    ]


def _held(effects: Effects, instance: str) -> Handler:
    async def held(ctx: inngest.Context) -> Any:
        """A step that ends when the file that the event names exists."""

        async def body() -> str:
            effects.note(ctx.run_id, "held", ctx.attempt, instance=instance, pid=os.getpid())
            gate = Path(str(ctx.event.data["gate"]))
            while not gate.exists():
                await asyncio.sleep(0.02)
            return instance

        found = await ctx.step.run("held", body)
        return {"held": found}

    return held


def _five(effects: Effects, instance: str) -> Handler:
    async def five(ctx: inngest.Context) -> Any:
        """Five steps, each of which lasts for the seconds that the event names."""

        def body(number: int) -> Callable[[], Awaitable[int]]:
            async def run() -> int:
                known = {"instance": instance, "at": time.time()}
                effects.note(ctx.run_id, f"s{number}", ctx.attempt, **known)
                await asyncio.sleep(float(str(ctx.event.data["takes"])))
                return number

            return run

        return [await ctx.step.run(f"s{number}", body(number)) for number in range(5)]

    return five


def _limited(effects: Effects) -> Handler:
    async def limited(ctx: inngest.Context) -> Any:
        """Note from when to when its step lasted."""

        async def body() -> None:
            at = time.time()
            await asyncio.sleep(0.2)
            effects.note(ctx.run_id, "limited", ctx.attempt, at=at, until=time.time())

        await ctx.step.run("limited", body)

    return limited


def _oversized(effects: Effects) -> Handler:
    async def oversized(ctx: inngest.Context) -> Any:
        """Answer with more than a message may have."""
        effects.note(ctx.run_id, "oversized", ctx.attempt)
        return "x" * 9_000_000

    return oversized
