"""The demo app: one durable function that shows what a run can do.

It is an ordinary Flask app with the official Inngest SDK; nothing in it knows which server it
talks to. `run.py` beside it starts it together with the server.
"""

import datetime
import logging
import os
from collections import Counter

import flask
import inngest
import inngest.flask

os.environ.setdefault("INNGEST_DEV", "http://127.0.0.1:8288")

client = inngest.Inngest(app_id="quickstart", logger=logging.getLogger("quickstart"))

# how often each run called the flaky bank: it fails twice, then works
_bank_calls: Counter[str] = Counter()


@client.create_function(
    fn_id="ship-order",
    trigger=inngest.TriggerEvent(event="shop/order.placed"),
    retries=3,
)
def ship_order(ctx: inngest.ContextSync) -> dict[str, inngest.JSON]:
    """Reserve, rest, pack and label side by side, then charge a bank that fails twice."""
    order = ctx.event.data.get("order", "unknown")

    def reserve() -> dict[str, inngest.JSON]:
        return {"order": order, "reserved": True}

    def pack() -> str:
        return f"parcel for {order}"

    def label() -> str:
        return f"label for {order}"

    def charge() -> str:
        _bank_calls[ctx.run_id] += 1
        if _bank_calls[ctx.run_id] <= 2:
            raise RuntimeError(f"the bank is away (try {_bank_calls[ctx.run_id]})")
        return "paid"

    reserved = ctx.step.run("reserve", reserve)
    ctx.step.sleep("let the customer think", datetime.timedelta(seconds=2))
    parcel, sticker = ctx.group.parallel(
        (
            lambda: ctx.step.run("pack", pack),
            lambda: ctx.step.run("label", label),
        )
    )
    payment = ctx.step.run("charge", charge)
    return {**reserved, "parcel": parcel, "label": sticker, "payment": payment}


app = flask.Flask(__name__)
inngest.flask.serve(app, client, [ship_order])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # the access log would drown what matters here
    for name in ("werkzeug", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    app.run(host="127.0.0.1", port=int(os.environ.get("PORT", "8000")), threaded=True)
