"""A shop, whose functions sleep for days: `test_shop.py` beside it tests them in milliseconds.

It is an ordinary Flask app with the official Inngest SDK; nothing in it knows that it is tested.
"""

from datetime import timedelta

import flask
import inngest
import inngest.flask

DAY = timedelta(days=1)
client = inngest.Inngest(app_id="shop", is_production=False)
charges: dict[str, int] = {}  # what the bank has got, by order


def charge_card(order: str, cents: int) -> str:
    """Charge once for an order, however often it is called."""
    charges.setdefault(order, cents)
    return f"receipt of {order}"


@client.create_function(
    fn_id="ship-order",
    trigger=inngest.TriggerEvent(event="shop/order.placed"),
    retries=3,
)
def ship_order(ctx: inngest.ContextSync) -> str:
    """Reserve, charge, pack and label side by side, and tell others."""
    order = str(ctx.event.data["order"])
    ctx.step.run("reserve", lambda: f"reserved {order}")
    receipt = ctx.step.run("charge", lambda: charge_card(order, 4200))
    parcel, label = ctx.group.parallel(
        (
            lambda: ctx.step.run("pack", lambda: f"parcel of {order}"),
            lambda: ctx.step.run("label", lambda: f"label of {order}"),
        )
    )
    shipped = inngest.Event(name="shop/order.shipped", data={"order": order, "label": label})
    ctx.step.send_event("tell", shipped)
    return f"{parcel}, {receipt}"


@client.create_function(
    fn_id="thank",
    trigger=inngest.TriggerEvent(event="shop/order.shipped"),
)
def thank(ctx: inngest.ContextSync) -> str:
    """Thank for an order a day after it was shipped."""
    ctx.step.sleep("let it arrive", DAY)
    return f"thanks for {ctx.event.data['order']}"


@client.create_function(
    fn_id="remind",
    trigger=inngest.TriggerEvent(event="shop/cart.left"),
    cancel=[inngest.Cancel(event="shop/customer.deleted", if_exp="event.data.id == async.data.id")],
)
def remind(ctx: inngest.ContextSync) -> str:
    """Remind three times, a day apart, until the cart is paid."""
    for number in (1, 2, 3):
        ctx.step.sleep(f"rest {number}", DAY)
        ctx.step.run(f"mail {number}", lambda number=number: f"mail {number}")
    paid = ctx.step.wait_for_event(
        "paid", event="shop/cart.paid", if_exp="event.data.id == async.data.id", timeout=7 * DAY
    )
    return "won" if paid else "lost"


@client.create_function(
    fn_id="index",
    trigger=inngest.TriggerEvent(event="shop/article.changed"),
    debounce=inngest.Debounce(period=timedelta(minutes=5)),
)
def index(ctx: inngest.ContextSync) -> int:
    """Index an article when nobody has changed it for five minutes."""
    return int(ctx.event.data["version"])


@client.create_function(fn_id="report", trigger=inngest.TriggerCron(cron="TZ=UTC 0 3 * * *"))
def report(ctx: inngest.ContextSync) -> str:
    """Report each night."""
    return "reported"


app = flask.Flask("shop")
inngest.flask.serve(app, client, [ship_order, thank, remind, index, report])


@app.post("/orders/<order>")
def place(order: str) -> list[str]:
    """Take an order."""
    return client.send_sync(inngest.Event(name="shop/order.placed", data={"order": order}))
