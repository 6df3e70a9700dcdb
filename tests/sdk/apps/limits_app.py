"""A Python app whose functions have limits: `python -m … PORT`; its steps last until GO exists."""

import datetime
import os
import sys
import time
from pathlib import Path

import flask
import inngest
import inngest.flask

from . import checkpoints
from .effects import Effects

APP = "python-limits"
client = inngest.Inngest(app_id=APP, middleware=checkpoints.chosen())
effects = Effects(os.environ["EFFECTS"])
go = Path(os.environ["GO"])


@client.create_function(
    fn_id="limited",
    trigger=inngest.TriggerEvent(event=f"{APP}/limited"),
    concurrency=[inngest.Concurrency(limit=1, key="event.data.tenant")],
)
def limited(ctx: inngest.ContextSync) -> str:
    """Hold a slot until the test frees it."""

    def body() -> str:
        effects.note(ctx.run_id, "held", ctx.attempt)
        deadline = time.monotonic() + 60
        while not go.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        return "done"

    return ctx.step.run("held", body)


@client.create_function(
    fn_id="throttled",
    trigger=inngest.TriggerEvent(event=f"{APP}/throttled"),
    throttle=inngest.Throttle(limit=1, burst=0, period=datetime.timedelta(hours=1)),
)
def throttled(ctx: inngest.ContextSync) -> str:
    """Start once an hour."""
    return "done"


if __name__ == "__main__":
    app = flask.Flask(__name__)
    inngest.flask.serve(app, client, [limited, throttled])
    app.run(host="127.0.0.1", port=int(sys.argv[1]), threaded=True)
