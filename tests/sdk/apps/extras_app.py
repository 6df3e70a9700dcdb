"""A Python app of races, middleware, models and code that changes: `… extras_app KIND PORT`.

`SECRET` encrypts what one function gives and sends; EFFECTS names the effects log.
"""

import datetime
import logging
import os
import sys
import time
from typing import Any

import flask
import inngest
import inngest.flask
import pydantic
from inngest_encryption import EncryptionMiddleware

from .effects import Effects

LARGE = "x" * 1_500_000
SECRET = "a secret that no server knows"
effects = Effects(os.environ["EFFECTS"])


class User(pydantic.BaseModel):
    """A model for events, steps and functions."""

    name: str
    born: datetime.date


class Stamp(inngest.MiddlewareSync):
    """Middleware that marks the input of a function and the output of its steps."""

    def transform_input(self, ctx: Any, function: Any, steps: Any) -> None:
        """Mark the event that a function is given."""
        ctx.event.data = {**ctx.event.data, "seen": True}

    def transform_output(self, result: inngest.TransformOutputResult) -> None:
        """Mark the output of steps."""
        if isinstance(result.output, str):
            result.output += "!"


class Maker:
    """Makes functions, each triggered by `<app>/<name>`, and keeps them."""

    def __init__(self, client: inngest.Inngest) -> None:
        self.client = client
        self.made: list[Any] = []

    def __call__(self, name: str, **options: Any) -> Any:
        def add(handler: Any) -> None:
            trigger = inngest.TriggerEvent(event=f"{self.client.app_id}/{name}")
            create = self.client.create_function(
                fn_id=name, trigger=trigger, **{"retries": 0, **options}
            )
            self.made.append(create(handler))

        return add


def noted(ctx: inngest.ContextSync, step: str) -> Any:
    """Run a step that logs itself and returns its name."""

    def body() -> str:
        effects.note(ctx.run_id, step, ctx.attempt)
        return step

    return ctx.step.run(step, body)


def _add_races(function: Maker) -> None:
    @function("race")
    def race(ctx: inngest.ContextSync) -> Any:
        def slow() -> Any:
            ctx.step.sleep("nap", datetime.timedelta(seconds=3))
            return noted(ctx, "late")

        def quick() -> Any:
            noted(ctx, "first")
            return noted(ctx, "then")

        mode = inngest.ParallelMode.RACE
        return ctx.group.parallel((slow, quick), parallel_mode=mode)

    @function("sprint")
    def sprint(ctx: inngest.ContextSync) -> Any:
        def run_slow() -> str:
            effects.note(ctx.run_id, "slow", ctx.attempt)
            time.sleep(4)
            return "slow"

        def slow() -> Any:
            return ctx.step.run("slow", run_slow)

        def quick() -> Any:
            noted(ctx, "first")
            return noted(ctx, "then")

        mode = inngest.ParallelMode.RACE
        results = ctx.group.parallel((slow, quick), parallel_mode=mode)
        return [results[1], noted(ctx, "after")]


def _add_steps(function: Maker) -> None:
    broken: set[str] = set()

    @function("changed", retries=1)
    def changed(ctx: inngest.ContextSync) -> Any:
        if ctx.run_id not in broken:
            noted(ctx, "kept")
            noted(ctx, "dropped")
            broken.add(ctx.run_id)
            effects.note(ctx.run_id, "broken", ctx.attempt)
            raise ValueError("a bug, mended by the next attempt")
        noted(ctx, "inserted")
        return [noted(ctx, "kept"), noted(ctx, "renamed")]

    @function("mended", retries=2)
    def mended(ctx: inngest.ContextSync) -> Any:
        def body() -> Any:
            if effects.note(ctx.run_id, "body", ctx.attempt) == 1:
                raise ValueError("not yet")
            return {"attempt": ctx.attempt}

        return ctx.step.run("mended", body)

    @function("unexpected")
    def unexpected(ctx: inngest.ContextSync) -> Any:
        if effects.note(ctx.run_id, "request", ctx.attempt) > 1:
            noted(ctx, "surprise")
        return ctx.group.parallel((lambda: noted(ctx, "a"), lambda: noted(ctx, "b")))


def _add_data(function: Maker) -> None:
    @function(
        "batched", batch_events=inngest.Batch(max_size=3, timeout=datetime.timedelta(seconds=60))
    )
    def batched(ctx: inngest.ContextSync) -> Any:
        return ctx.step.run("sizes", lambda: [len(str(e.data["text"])) for e in ctx.events])

    @function("models", output_type=User)
    def models(ctx: inngest.ContextSync) -> Any:
        given = User.model_validate(ctx.event.data)

        def older() -> User:
            return given.model_copy(update={"born": given.born - datetime.timedelta(days=1)})

        found = ctx.step.run("older", older, output_type=User)
        assert isinstance(found, User)
        return found

    @function("stamped", middleware=[Stamp])
    def stamped(ctx: inngest.ContextSync) -> Any:
        given = ctx.step.run("give", lambda: "given")
        return {"seen": ctx.event.data["seen"], "given": given}

    @function("secret", middleware=[EncryptionMiddleware.factory(SECRET)])
    def secret(ctx: inngest.ContextSync) -> Any:
        given = ctx.step.run("give", lambda: "very private")
        event = inngest.Event(
            name=f"{function.client.app_id}/told", data={"encrypted": {"given": given}}
        )
        return {"ids": ctx.step.send_event("tell", event)}

    @function("told", middleware=[EncryptionMiddleware.factory(SECRET)])
    def told(ctx: inngest.ContextSync) -> Any:
        effects.note(ctx.run_id, "told", ctx.attempt, data=ctx.event.data["encrypted"])


def main(kind: str, port: int) -> None:
    """Serve until killed."""
    client = inngest.Inngest(
        app_id=kind, logger=logging.getLogger("sdk"), serializer=inngest.PydanticSerializer()
    )
    app = flask.Flask(__name__)
    function = Maker(client)
    _add_races(function)
    _add_steps(function)
    _add_data(function)
    inngest.flask.serve(app, client, function.made)
    app.run(host="127.0.0.1", port=port, threaded=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
