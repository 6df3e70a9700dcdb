"""A Python app in production mode: it checks signatures and signs what it sends."""

import os
import sys

import flask
import inngest
import inngest.flask

client = inngest.Inngest(
    app_id="production",
    is_production=True,
    event_key=os.environ["EVENT_KEY"],
    signing_key=os.environ["SIGNING_KEY"],
    api_base_url=os.environ["SERVER"],
    event_api_base_url=os.environ["SERVER"],
)


@client.create_function(fn_id="pay", trigger=inngest.TriggerEvent(event="production/go"))
def pay(ctx: inngest.ContextSync) -> str:
    """Run a step and send an event with the key."""
    paid = ctx.step.run("pay", lambda: "paid")
    ctx.step.send_event("tell", inngest.Event(name="production/paid"))
    return paid


if __name__ == "__main__":
    app = flask.Flask("production")
    inngest.flask.serve(app, client, [pay])
    app.run(port=int(sys.argv[1]))
