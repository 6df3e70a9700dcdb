"""Functions of connected workers: steps that last until a file says that they may end."""

import asyncio
import os
from pathlib import Path
from typing import Any

import inngest

from .creating import Made
from .effects import Effects


def define(client: inngest.Inngest, effects: Effects, instance: str) -> Made:
    """Make the functions."""

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

    return [
        client.create_function(
            fn_id="held", trigger=inngest.TriggerEvent(event=f"{client.app_id}/held"), retries=1
        )(held)
    ]
