"""A Python app whose functions call models, and are cancelled: `python -m … PORT`.

PROVIDER is the URL of the service that stands in for the models.
"""

import datetime
import os
import sys
from typing import Any

import flask
import inngest
import inngest.flask
import requests
from inngest.experimental.ai import anthropic, deepseek, gemini, grok, openai

from . import checkpoints
from .effects import Effects

APP = "python-control"
KEY = "sk-a-key-of-python"
client = inngest.Inngest(app_id=APP, middleware=checkpoints.chosen())
effects = Effects(os.environ["EFFECTS"])
url = os.environ["PROVIDER"]
MODELS: dict[str, Any] = {
    "openai": openai.Adapter(auth_key=KEY, base_url=f"{url}/openai", model="gpt"),
    "anthropic": anthropic.Adapter(auth_key=KEY, base_url=f"{url}/anthropic", model="claude"),
    "deepseek": deepseek.Adapter(auth_key=KEY, base_url=f"{url}/deepseek", model="seek"),
    "grok": grok.Adapter(auth_key=KEY, base_url=f"{url}/grok", model="grok"),
    "gemini": gemini.Adapter(auth_key=KEY, base_url=f"{url}/gemini", model="flash"),
}


def _function(name: str, **options: Any) -> Any:
    trigger = inngest.TriggerEvent(event=f"{APP}/{name}")
    return client.create_function(fn_id=name, trigger=trigger, **options)


@_function("infer")
def infer(ctx: inngest.ContextSync) -> Any:
    """Ask every model, one after another."""
    return {
        name: ctx.step.ai.infer(name, adapter=adapter, body={"prompt": "hello"})
        for name, adapter in MODELS.items()
    }


@_function("infer_fails", retries=1)
def infer_fails(ctx: inngest.ContextSync) -> Any:
    """Catch what a model answers after its retries."""
    broken = openai.Adapter(auth_key=KEY, base_url=f"{url}/broken", model="gpt")
    try:
        ctx.step.ai.infer("broken", adapter=broken, body={})
    except inngest.StepError as error:
        return {"name": error.name, "message": error.message}
    return None


STOP = [
    inngest.Cancel(
        event=f"{APP}/stop",
        if_exp="event.data.key == async.data.key && async.data.really == true",
        timeout=datetime.timedelta(hours=1),
    )
]


ONE = inngest.Throttle(limit=1, period=datetime.timedelta(hours=1), burst=0)


@_function("sleeping", cancel=STOP)
def sleeping(ctx: inngest.ContextSync) -> None:
    """Sleep until cancelled."""
    ctx.step.sleep("nap", datetime.timedelta(hours=1))


@_function("waiting", cancel=STOP)
def waiting(ctx: inngest.ContextSync) -> None:
    """Wait until cancelled."""
    ctx.step.wait_for_event("wait", event="never", timeout=datetime.timedelta(hours=1))


@_function("calling", cancel=STOP)
def calling(ctx: inngest.ContextSync) -> Any:
    """Be cancelled while a step runs, and answer after that."""

    def body() -> None:
        effects.note(ctx.run_id, "called", ctx.attempt)
        requests.get(f"{url}/hold", timeout=60)

    ctx.step.run("slow", body)
    effects.note(ctx.run_id, "after", ctx.attempt)


@_function("slow", timeouts=inngest.Timeouts(finish=datetime.timedelta(seconds=2)))
def slow(ctx: inngest.ContextSync) -> None:
    """Take longer than allowed."""
    ctx.step.sleep("nap", datetime.timedelta(hours=1))


@_function("late", timeouts=inngest.Timeouts(start=datetime.timedelta(seconds=1)), throttle=ONE)
def late(ctx: inngest.ContextSync) -> str:
    """Start in time, unless the throttle has let in another run before."""
    return "in time"


@_function("rated", rate_limit=inngest.RateLimit(limit=1, period=datetime.timedelta(hours=1)))
def rated(ctx: inngest.ContextSync) -> str:
    """Be invoked once an hour."""
    return "rated"


@_function("invokes", retries=0)
def invokes(ctx: inngest.ContextSync) -> Any:
    """Invoke the function that the event names, and return its result."""
    wanted: dict[str, Any] = {"app_id": APP, "function_id": str(ctx.event.data["target"])}
    wanted |= {"data": {"key": 9}, "timeout": datetime.timedelta(seconds=ctx.event.data["timeout"])}
    try:
        return {"data": ctx.step.invoke_by_id("call", **wanted)}
    except inngest.StepError as error:
        return {"error": error.message}


def _hold(ctx: inngest.ContextSync) -> None:
    """Keep the request under way for as long as the test likes."""
    effects.note(ctx.run_id, "request", ctx.attempt)
    requests.get(f"{url}/hold", timeout=60)


@_function("naps", retries=1)
def naps(ctx: inngest.ContextSync) -> Any:
    """Be paused during a request that ends in a sleep."""
    _hold(ctx)
    ctx.step.sleep("nap", datetime.timedelta(seconds=1))
    return ctx.step.run("after", lambda: effects.note(ctx.run_id, "after", ctx.attempt))


@_function("flaky", retries=1)
def flaky(ctx: inngest.ContextSync) -> Any:
    """Be paused during a request that ends in a step which fails at first."""
    _hold(ctx)

    def body() -> int:
        count = effects.note(ctx.run_id, "after", ctx.attempt)
        if count == 1:
            raise ValueError("not yet")
        return count

    return ctx.step.run("after", body)


if __name__ == "__main__":
    app = flask.Flask(__name__)
    served = [
        infer,
        infer_fails,
        sleeping,
        waiting,
        calling,
        slow,
        late,
        rated,
        invokes,
        naps,
        flaky,
    ]
    inngest.flask.serve(app, client, served)
    app.run(host="127.0.0.1", port=int(sys.argv[1]), threaded=True)
