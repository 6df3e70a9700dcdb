"""A Python app with a function for each rule of flow control: `… flow_app KIND PORT`."""

import datetime
import logging
import sys
from typing import Any

import flask
import inngest
import inngest.flask

from . import checkpoints

SECOND = datetime.timedelta(seconds=1)
HOUR = datetime.timedelta(hours=1)
RULES: dict[str, dict[str, Any]] = {
    "throttle": {"throttle": inngest.Throttle(limit=1, period=2 * SECOND, burst=1)},
    "rate": {"rate_limit": inngest.RateLimit(limit=1, period=HOUR, key="event.data.k")},
    "idempotent": {"idempotency": "event.data.k"},
    "debounce": {"debounce": inngest.Debounce(period=2 * SECOND, key="event.data.k")},
    "batch": {"batch_events": inngest.Batch(max_size=3, timeout=2 * SECOND)},
    "skip": {"singleton": inngest.Singleton(mode="skip", key="event.data.k")},
    "cancel": {"singleton": inngest.Singleton(mode="cancel", key="event.data.k")},
    "priority": {
        "priority": inngest.Priority(run="event.data.p"),
        "throttle": inngest.Throttle(limit=1, period=2 * SECOND, burst=0),
    },
}


def _function(client: inngest.Inngest, kind: str, name: str) -> Any:
    @client.create_function(
        fn_id=name, trigger=inngest.TriggerEvent(event=f"{kind}/{name}"), **RULES[name]
    )
    def run(ctx: inngest.ContextSync) -> Any:
        if name in ("skip", "cancel"):
            ctx.step.sleep("rest", SECOND)
        seen = [event.data["n"] for event in ctx.events]
        return ctx.step.run("seen", lambda: seen)

    return run


def main(kind: str, port: int) -> None:
    """Serve until killed."""
    client = inngest.Inngest(
        app_id=kind, logger=logging.getLogger("sdk"), middleware=checkpoints.chosen()
    )
    app = flask.Flask(__name__)
    inngest.flask.serve(app, client, [_function(client, kind, name) for name in RULES])
    app.run(host="127.0.0.1", port=port, threaded=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
