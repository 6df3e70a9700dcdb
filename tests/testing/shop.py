"""The app under test: a shop of blocking functions, on Flask, and one of asyncio, on FastAPI."""

import datetime
import threading
import warnings
from typing import Any

import flask
import inngest

with warnings.catch_warnings():  # the SDK's own use of pydantic warns
    warnings.simplefilter("ignore")
    from inngest import flask as inngest_flask

DAY = datetime.timedelta(days=1)


class Shop:
    """The functions of a client, and what their steps have really done."""

    def __init__(self, app_id: str = "shop", **client: Any) -> None:
        self.client = inngest.Inngest(app_id=app_id, **({"is_production": False} | client))
        self.done: list[str] = []
        self.threads: set[int] = set()
        self.fails = 0
        self.order = self._make("order", self._order, "shop/order.placed", retries=2)
        self.remind = self._make("remind", self._remind, "shop/cart.left")
        self.audit = self._make("audit", self._audit, "shop/order.placed")
        self.parts = self._make("parts", self._parts, "shop/parts")
        self.parent = self._make("parent", self._parent, "shop/parent")
        self.repeat = self._make("repeat", self._repeat, "shop/repeat")
        self.nightly = self.client.create_function(
            fn_id="nightly", trigger=inngest.TriggerCron(cron="0 3 * * *")
        )(self._nightly)
        self.functions = [
            self.order,
            self.remind,
            self.audit,
            self.parts,
            self.parent,
            self.repeat,
            self.nightly,
        ]

    def _make(self, name: str, handler: Any, event: str, **options: Any) -> Any:
        trigger = inngest.TriggerEvent(event=event)
        return self.client.create_function(fn_id=name, trigger=trigger, **options)(handler)

    def do(self, what: str) -> str:
        self.done.append(what)
        self.threads.add(threading.get_ident())
        if self.fails:
            self.fails -= 1
            raise RuntimeError(f"no {what}")
        return what

    def _order(self, ctx: inngest.ContextSync) -> Any:
        ctx.step.run("reserve", lambda: self.do("reserve"))
        charged = ctx.step.run("charge", lambda: self.do("charge"))
        ctx.step.send_event("tell", inngest.Event(name="shop/order.paid", data={"by": charged}))
        return {"order": ctx.event.data.get("order"), "charge": charged}

    def _remind(self, ctx: inngest.ContextSync) -> str:
        for number in ("first", "second", "third"):
            ctx.step.sleep(f"rest before the {number}", DAY)
            ctx.step.run(number, lambda number=number: self.do(number))
        paid = ctx.step.wait_for_event("paid", event="shop/cart.paid", timeout=DAY)
        return "paid" if paid else "lost"

    def _audit(self, ctx: inngest.ContextSync) -> str:
        return "audited"

    def _parts(self, ctx: inngest.ContextSync) -> list[str]:
        return list(
            ctx.group.parallel(
                (
                    lambda: ctx.step.run("bolt", lambda: self.do("bolt")),
                    lambda: ctx.step.run("nut", lambda: self.do("nut")),
                )
            )
        )

    def _parent(self, ctx: inngest.ContextSync) -> Any:
        return ctx.step.invoke("child", function=self.order, data={"order": "invoked"})

    def _repeat(self, ctx: inngest.ContextSync) -> list[str]:
        return [ctx.step.run("again", lambda n=n: self.do(f"again {n}")) for n in range(3)]

    def _nightly(self, ctx: inngest.ContextSync) -> str:
        return self.do("nightly")


def flask_shop(shop: Shop) -> flask.Flask:
    """The shop with an endpoint that sends an event, as an unmodified app would."""
    app = flask.Flask("shop")
    inngest_flask.serve(app, shop.client, shop.functions)

    @app.post("/orders")
    def _place() -> list[str]:
        event = inngest.Event(name="shop/order.placed", data={"order": "by HTTP"})
        return shop.client.send_sync(event)

    return app
