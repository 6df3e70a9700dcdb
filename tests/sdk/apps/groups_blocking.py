"""Map, race and compensation of `inngest_py.sdk.steps`, in blocking functions."""

import threading
from typing import Any

import inngest

from inngest_py.sdk import steps

from .creating import Made, create
from .effects import Effects


def define(client: inngest.Inngest, effects: Effects) -> Made:
    """Make the functions, each triggered by `<app>/<name>`."""
    return [*_maps(client, effects), *_races(client, effects), *_sagas(client, effects)]


def noted(ctx: inngest.ContextSync, effects: Effects, step: str) -> Any:
    def body() -> str:
        effects.note(ctx.run_id, step, ctx.attempt)
        return step

    return ctx.step.run(step, body)


def _maps(client: inngest.Inngest, effects: Effects) -> Made:
    active: dict[str, int] = {}
    seen: dict[str, int] = {}

    def mapped(ctx: inngest.ContextSync) -> Any:
        def double(item: Any) -> Any:
            active[ctx.run_id] = active.get(ctx.run_id, 0) + 1
            effects.note(ctx.run_id, str(item), ctx.attempt, active=active[ctx.run_id])
            threading.Event().wait(0.05)
            active[ctx.run_id] -= 1
            return item * 2

        data: Any = ctx.event.data
        found = steps.map(ctx, "double", data["items"], double, concurrency=data.get("concurrency"))
        noted(ctx, effects, "after")
        return found

    def inserted(ctx: inngest.ContextSync) -> Any:
        def work(item: Any) -> Any:
            effects.note(ctx.run_id, item["id"], ctx.attempt)
            return item["id"] + "!"

        seen[ctx.run_id] = seen.get(ctx.run_id, 0) + 1
        new = [{"id": "new"}] if seen[ctx.run_id] > 1 else []
        items = [*new, {"id": "b"}, {"id": "a"}, {"id": "b"}]
        return steps.map(ctx, "work", items, work, concurrency=1, key=lambda item: item["id"])

    def unmapped(ctx: inngest.ContextSync) -> Any:
        def work(item: Any) -> Any:
            effects.note(ctx.run_id, str(item), ctx.attempt)
            if item == 1:
                raise ValueError("one is wrong")
            return {"when": {1, 2}} if item == 3 else item

        items = range(int(str(ctx.event.data["items"])))
        return steps.map(ctx, "work", items, work, concurrency=2)

    return create(client, mapped, inserted, unmapped)


def _races(client: inngest.Inngest, effects: Effects) -> Made:
    def raced(ctx: inngest.ContextSync) -> Any:
        event = f"{client.app_id}/lost"

        def slow() -> Any:
            steps.wait_for_event(
                ctx, "wait", event=event, if_exp=f"async.data.run == '{ctx.run_id}'", timeout="1h"
            )
            return noted(ctx, effects, "never")

        def quick() -> Any:
            noted(ctx, effects, "first")
            return noted(ctx, effects, "then")

        won = steps.race(ctx, "who", {"slow": slow, "quick": quick})

        def lose() -> None:
            effects.note(ctx.run_id, "after", ctx.attempt)
            client.send_sync(inngest.Event(name=event, data={"run": ctx.run_id}))
            threading.Event().wait(0.3)  # the wait ends meanwhile

        ctx.step.run("after", lose)
        return [won.name, won.value, noted(ctx, effects, "last")]

    def lost(ctx: inngest.ContextSync) -> Any:
        def fails() -> Any:
            raise ValueError("lost")

        try:
            steps.race(
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
    def booked(ctx: inngest.ContextSync) -> Any:
        how = str(ctx.event.data["how"])

        def book(step: str) -> str:
            effects.note(ctx.run_id, step, ctx.attempt)
            if step == "hotel" and how in ("step", "undo", "undo for good"):
                raise ValueError("no room")
            if step == "hotel" and how == "final":
                raise inngest.NonRetriableError("no room ever")
            return f"{step} booked"

        def cancel(step: str, booking: str) -> None:
            seen = effects.note(ctx.run_id, f"no {step}", ctx.attempt, booking=booking)
            if how.startswith("undo") and step == "car" and (seen == 1 or how.endswith("good")):
                raise ValueError("the desk is closed")

        with steps.compensate(ctx) as saga:
            for name in ("flight", "car", "hotel"):
                booking = ctx.step.run(name, book, name)
                saga.add(f"no {name}", cancel, name, booking)
            if how == "code":
                effects.note(ctx.run_id, "code", ctx.attempt)
                raise KeyError("lost in code")
            if how == "once":
                ctx.step.run("fee", book, "fee")
        return "booked"

    def charged(ctx: inngest.ContextSync) -> Any:
        def charge(card: int) -> str:
            effects.note(ctx.run_id, f"card {card}", ctx.attempt)
            if card == 2:
                raise inngest.NonRetriableError("no money")
            return "paid"

        def refund() -> None:
            effects.note(ctx.run_id, "refund", ctx.attempt)

        with steps.compensate(ctx) as saga:
            saga.add("refund", refund)
            steps.map(ctx, "charge", [1, 2], charge)

    trigger = inngest.TriggerEvent(event=f"{client.app_id}/booked")
    made = client.create_function(fn_id="booked", trigger=trigger, retries=1)(booked)
    return [made, *create(client, charged)]
