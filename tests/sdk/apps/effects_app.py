"""A Python app whose steps write to a database of its own: `… effects_app KIND PORT`.

DATABASE is its file. With KILL_AT, the process is killed at that point of its database's work.
"""

import datetime
import logging
import os
import sys
from typing import Any

import flask
import inngest
import inngest.flask
from sqlalchemy import Connection, text

from inngest_py.sdk import checkpointing, steps
from tests.sdk.effects.killing import Points, engine_of


def main(kind: str, port: int) -> None:
    """Serve until killed."""
    points = Points()
    engine = engine_of(f"sqlite:///{os.environ['DATABASE']}")
    points.watch(engine)
    points.arm(int(os.environ.get("KILL_AT", "-1")), 2)
    client = inngest.Inngest(app_id=kind, logger=logging.getLogger("sdk"))

    def pay(connection: Connection, amount: int) -> dict[str, int]:
        connection.execute(text("INSERT INTO effects (number) VALUES (:n)"), {"n": amount})
        return {"paid": amount}

    def body(ctx: inngest.ContextSync) -> Any:
        paid = steps.transaction(ctx, "pay", engine, pay, ctx.event.data["amount"])
        if ctx.event.data.get("rest"):
            ctx.step.sleep("rest", datetime.timedelta(hours=1))
        return [paid, steps.transaction(ctx, "pay", engine, pay, 1)]

    functions = []
    for name, middleware in {"plain": [], "checkpointed": [checkpointing()]}.items():
        trigger = inngest.TriggerEvent(event=f"{kind}/{name}")
        made: Any = client.create_function(
            fn_id=name, trigger=trigger, middleware=middleware, retries=20
        )
        functions.append(made(body))
    app = flask.Flask(__name__)
    inngest.flask.serve(app, client, functions)
    app.run(host="127.0.0.1", port=port, threaded=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
