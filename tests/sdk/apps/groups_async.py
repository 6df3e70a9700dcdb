"""Map, race and compensation of `inngest_py.sdk.steps`, in async functions."""

import asyncio
from typing import Any

import inngest

from inngest_py.sdk import steps

from .creating import Made, create
from .effects import Effects


def define(client: inngest.Inngest, effects: Effects) -> Made:
    """Make the functions, each triggered by `<app>/<name>`."""
    return [*_maps(client, effects), *_races(client, effects), *_sagas(client, effects)]


async def noted(ctx: inngest.Context, effects: Effects, step: str) -> Any:
    async def body() -> str:
        effects.note(ctx.run_id, step, ctx.attempt)
        return step

    return await ctx.step.run(step, body)


def _maps(client: inngest.Inngest, effects: Effects) -> Made:
    active: dict[str, int] = {}
    seen: dict[str, int] = {}

    async def mapped(ctx: inngest.Context) -> Any:
        async def double(item: Any) -> Any:
            active[ctx.run_id] = active.get(ctx.run_id, 0) + 1
            effects.note(ctx.run_id, str(item), ctx.attempt, active=active[ctx.run_id])
            await asyncio.sleep(0.05)
            active[ctx.run_id] -= 1
            return item * 2

        data: Any = ctx.event.data
        found = await steps.map(
            ctx, "double", data["items"], double, concurrency=data.get("concurrency")
        )
        await noted(ctx, effects, "after")
        return found

    async def inserted(ctx: inngest.Context) -> Any:
        async def work(item: Any) -> Any:
            effects.note(ctx.run_id, item["id"], ctx.attempt)
            return item["id"] + "!"

        seen[ctx.run_id] = seen.get(ctx.run_id, 0) + 1
        new = [{"id": "new"}] if seen[ctx.run_id] > 1 else []
        items = [*new, {"id": "b"}, {"id": "a"}, {"id": "b"}]
        return await steps.map(ctx, "work", items, work, concurrency=1, key=lambda item: item["id"])

    async def unmapped(ctx: inngest.Context) -> Any:
        async def work(item: Any) -> Any:
            effects.note(ctx.run_id, str(item), ctx.attempt)
            if item == 1:
                raise ValueError("one is wrong")
            return {"when": {1, 2}} if item == 3 else item

        items = range(int(str(ctx.event.data["items"])))
        return await steps.map(ctx, "work", items, work, concurrency=2)

    return create(client, mapped, inserted, unmapped)


def _races(client: inngest.Inngest, effects: Effects) -> Made:
    async def raced(ctx: inngest.Context) -> Any:
        event = f"{client.app_id}/lost"

        async def slow() -> Any:
            await steps.wait_for_event(
                ctx, "wait", event=event, if_exp=f"async.data.run == '{ctx.run_id}'", timeout="1h"
            )
            return await noted(ctx, effects, "never")

        async def quick() -> Any:
            await noted(ctx, effects, "first")
            return await noted(ctx, effects, "then")

        won = await steps.race(ctx, "who", {"slow": slow, "quick": quick})

        async def lose() -> None:
            effects.note(ctx.run_id, "after", ctx.attempt)
            await client.send(inngest.Event(name=event, data={"run": ctx.run_id}))
            await asyncio.sleep(0.3)  # the wait ends meanwhile

        await ctx.step.run("after", lose)
        return [won.name, won.value, await noted(ctx, effects, "last")]

    async def lost(ctx: inngest.Context) -> Any:
        async def fails() -> Any:
            raise ValueError("lost")

        try:
            await steps.race(
                ctx,
                "who",
                {
                    "fails": lambda: ctx.step.run("fails", fails),
                    "slow": lambda: steps.sleep(ctx, "slow", "1 hour"),
                },
            )
        except inngest.StepError as error:
            return error.message

    return create(client, raced, lost)


def _sagas(client: inngest.Inngest, effects: Effects) -> Made:
    async def booked(ctx: inngest.Context) -> Any:
        how = str(ctx.event.data["how"])

        async def book(step: str) -> str:
            effects.note(ctx.run_id, step, ctx.attempt)
            if step == "hotel" and how in ("step", "undo", "undo for good"):
                raise ValueError("no room")
            if step == "hotel" and how == "final":
                raise inngest.NonRetriableError("no room ever")
            return f"{step} booked"

        async def cancel(step: str, booking: str) -> None:
            seen = effects.note(ctx.run_id, f"no {step}", ctx.attempt, booking=booking)
            if how.startswith("undo") and step == "car" and (seen == 1 or how.endswith("good")):
                raise ValueError("the desk is closed")

        async with steps.compensate(ctx) as saga:
            for name in ("flight", "car", "hotel"):
                booking = await ctx.step.run(name, book, name)
                saga.add(f"no {name}", cancel, name, booking)
            if how == "code":
                effects.note(ctx.run_id, "code", ctx.attempt)
                raise KeyError("lost in code")
            if how == "once":
                await ctx.step.run("fee", book, "fee")
        return "booked"

    async def charged(ctx: inngest.Context) -> Any:
        async def charge(card: int) -> str:
            effects.note(ctx.run_id, f"card {card}", ctx.attempt)
            if card == 2:
                raise inngest.NonRetriableError("no money")
            return "paid"

        async def refund() -> None:
            effects.note(ctx.run_id, "refund", ctx.attempt)

        async with steps.compensate(ctx) as saga:
            saga.add("refund", refund)
            await steps.map(ctx, "charge", [1, 2], charge)

    trigger = inngest.TriggerEvent(event=f"{client.app_id}/booked")
    made = client.create_function(fn_id="booked", trigger=trigger, retries=1)(booked)
    return [made, *create(client, charged)]
