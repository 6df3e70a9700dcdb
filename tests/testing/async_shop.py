"""The shop of asyncio functions, on FastAPI, with a lifespan."""

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import inngest
from fastapi import FastAPI, Request

with warnings.catch_warnings():  # the SDK's own use of pydantic warns
    warnings.simplefilter("ignore")
    from inngest import fast_api

from .shop import DAY


class AsyncShop:
    """The functions of a client; `open` says whether the app's lifespan goes on."""

    def __init__(self, **client: Any) -> None:
        self.client = inngest.Inngest(app_id="async", **({"is_production": False} | client))
        self.done: list[str] = []
        self.open = False

        @self.client.create_function(
            fn_id="order", trigger=inngest.TriggerEvent(event="shop/order.placed"), retries=1
        )
        async def order(ctx: inngest.Context) -> Any:
            reserved = await ctx.step.run("reserve", lambda: self.do("reserve"))
            await ctx.step.sleep("rest", DAY)
            both = await ctx.group.parallel(
                (
                    lambda: ctx.step.run("pack", lambda: self.do("pack")),
                    lambda: ctx.step.run("label", lambda: self.do("label")),
                )
            )
            await ctx.step.send_event("tell", inngest.Event(name="shop/order.packed"))
            await self.client.send(inngest.Event(name="shop/order.sent"))
            return [reserved, *both]

        self.order = order

        @self.client.create_function(
            fn_id="blocking", trigger=inngest.TriggerEvent(event="shop/blocking")
        )
        def blocking(ctx: inngest.ContextSync) -> str:
            return ctx.step.run("work", lambda: "worked")

        self.blocking = blocking
        self.functions = [order, blocking]

    async def do(self, what: str) -> str:
        await asyncio.sleep(0)
        self.done.append(what)
        return what


def fastapi_shop(shop: AsyncShop) -> FastAPI:
    """The shop; `POST /orders` sends an event."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, str]]:
        shop.open = True
        yield {"made by": "the lifespan"}
        shop.open = False

    app = FastAPI(lifespan=lifespan)
    fast_api.serve(app, shop.client, shop.functions)

    @app.post("/orders")
    async def _place(request: Request) -> list[str]:
        return await shop.client.send(inngest.Event(name="shop/order.placed"))

    return app
