"""The scenarios' functions with the Python SDK's blocking interface."""

import datetime
from collections.abc import Callable
from typing import Any

import inngest

from .effects import Effects

LARGE = "x" * 1_500_000
Body = Callable[[], Any]
Handler = Callable[[inngest.ContextSync], Any]


class Steps:
    """Makes step bodies that leave their mark in the effects log."""

    def __init__(self, effects: Effects) -> None:
        self.effects = effects

    def value(self, ctx: inngest.ContextSync, step: str, value: Any) -> Body:
        """A body that returns the value."""

        def body() -> Any:
            self.effects.note(ctx.run_id, step, ctx.attempt)
            return value

        return body

    def failing(
        self, ctx: inngest.ContextSync, step: str, error: Exception, times: int = 1_000
    ) -> Body:
        """A body that raises the first times and then says how often it was called."""

        def body() -> Any:
            count = self.effects.note(ctx.run_id, step, ctx.attempt)
            if count <= times:
                raise error
            return count

        return body


def _plain(steps: Steps) -> dict[str, Handler]:
    def noop(ctx: inngest.ContextSync) -> Any:
        steps.effects.note(ctx.run_id, "body", ctx.attempt)
        return {"ok": True, "echo": ctx.event.data}

    def sequential(ctx: inngest.ContextSync) -> Any:
        return [ctx.step.run(s, steps.value(ctx, s, n)) for n, s in enumerate("abc", 1)]

    def parallel(ctx: inngest.ContextSync) -> Any:
        found = ctx.group.parallel(
            tuple(
                (lambda s=s, n=n: ctx.step.run(s, steps.value(ctx, s, n)))
                for n, s in enumerate("abc", 1)
            )
        )
        return ctx.step.run("sum", steps.value(ctx, "sum", sum(found)))

    def sleep(ctx: inngest.ContextSync) -> Any:
        ctx.step.run("before", steps.value(ctx, "before", None))
        ctx.step.sleep("rest", datetime.timedelta(seconds=1))
        return ctx.step.run("after", steps.value(ctx, "after", "rested"))

    def large(ctx: inngest.ContextSync) -> Any:
        return sum(len(ctx.step.run(s, steps.value(ctx, s, LARGE))) for s in "abc")

    def nap(ctx: inngest.ContextSync) -> Any:
        ctx.step.sleep("nap", datetime.timedelta(hours=1))

    def given(ctx: inngest.ContextSync) -> Any:
        def body(value: Any) -> Any:
            return steps.value(ctx, "given", value)()

        ctx.step.run("first", steps.value(ctx, "first", 1))
        return ctx.step.run("given", body, "old")

    return {
        "nap": nap,
        "given": given,
        "noop": noop,
        "sequential": sequential,
        "parallel": parallel,
        "sleep": sleep,
        "large": large,
    }


def _failing(steps: Steps) -> dict[str, Handler]:
    def retry(ctx: inngest.ContextSync) -> Any:
        return ctx.step.run("flaky", steps.failing(ctx, "flaky", ValueError("not yet"), 2))

    def function_retry(ctx: inngest.ContextSync) -> Any:
        return steps.failing(ctx, "body", ValueError("not yet"), 2)()

    def no_retry(ctx: inngest.ContextSync) -> Any:
        error = inngest.NonRetriableError("never")
        return ctx.step.run("hopeless", steps.failing(ctx, "hopeless", error))

    def retry_after(ctx: inngest.ContextSync) -> Any:
        error = inngest.RetryAfterError("later", datetime.timedelta(seconds=3))
        return ctx.step.run("later", steps.failing(ctx, "later", error, 1))

    def failure(ctx: inngest.ContextSync) -> Any:
        return ctx.step.run("boom", steps.failing(ctx, "boom", ValueError("boom")))

    def caught(ctx: inngest.ContextSync) -> Any:
        try:
            ctx.step.run("bad", steps.failing(ctx, "bad", ValueError("bad luck")))
        except inngest.StepError as error:
            message = error.message
        return ctx.step.run("after", steps.value(ctx, "after", {"caught": message}))

    return {
        "retry": retry,
        "function_retry": function_retry,
        "no_retry": no_retry,
        "retry_after": retry_after,
        "failure": failure,
        "caught": caught,
    }


def define(client: inngest.Inngest, effects: Effects) -> list[inngest.Function[Any]]:
    """Make every function, each triggered by `<app>/<scenario>`."""
    steps = Steps(effects)
    app = client.app_id

    def send(ctx: inngest.ContextSync) -> Any:
        child = inngest.Event(name=f"{app}/child", data={"parent": ctx.run_id})
        return ctx.step.send_event("send", child)

    def child(ctx: inngest.ContextSync) -> Any:
        effects.note(ctx.run_id, "child", ctx.attempt, parent=ctx.event.data["parent"])
        return "grown up"

    def on_failure(ctx: inngest.ContextSync) -> Any:
        data = ctx.event.data
        effects.note(str(data["run_id"]), "on_failure", ctx.attempt, error=data["error"])

    retries = {"failure": 0, "caught": 0}
    handlers = {**_plain(steps), **_failing(steps), "send": send, "child": child}
    return [
        client.create_function(
            fn_id=name,
            trigger=inngest.TriggerEvent(event=f"{app}/{name}"),
            retries=retries.get(name, 3),
            on_failure=on_failure if name == "failure" else None,
        )(handler)
        for name, handler in handlers.items()
    ]
