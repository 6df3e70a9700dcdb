"""A Python app of one function that runs every minute and for an event: `… cron_app KIND PORT`."""

import json
import logging
import os
import sys
from pathlib import Path

import flask
import inngest
import inngest.flask


def main(kind: str, port: int) -> None:
    """Serve until killed; EFFECTS names the effects log."""
    client = inngest.Inngest(app_id=kind, logger=logging.getLogger("sdk"))
    effects = Path(os.environ["EFFECTS"])

    @client.create_function(
        fn_id="tick",
        trigger=[
            inngest.TriggerCron(cron="* * * * *"),
            inngest.TriggerEvent(event=f"{kind}/now"),
        ],
    )
    def tick(ctx: inngest.ContextSync) -> str:
        def note() -> str:
            event = {"name": ctx.event.name, "id": ctx.event.id, "data": dict(ctx.event.data)}
            with effects.open("a") as log:
                log.write(json.dumps({"run_id": ctx.run_id, "step": "note", "event": event}) + "\n")
            return ctx.event.name

        return ctx.step.run("note", note)

    app = flask.Flask(__name__)
    inngest.flask.serve(app, client, [tick])
    app.run(host="127.0.0.1", port=port, threaded=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
