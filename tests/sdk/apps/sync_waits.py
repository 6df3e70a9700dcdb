"""The scenarios that wait, with the Python SDK's blocking interface."""

import datetime
from typing import Any

import inngest

from .creating import Made, create

SECOND = datetime.timedelta(seconds=1)
MINUTE = datetime.timedelta(minutes=1)


def define(client: inngest.Inngest) -> Made:
    """Make the functions, each triggered by `<app>/<scenario>`."""
    children = _children(client)
    return [*children, *_waits(client), *_invokes(client, *children)]


def _error_of(call: Any) -> Any:
    try:
        call()
    except inngest.StepError as error:
        return [error.name, error.message]
    return None


def _children(client: inngest.Inngest) -> Made:
    def invoked(ctx: inngest.ContextSync) -> Any:
        return {"got": ctx.step.run("look", lambda: ctx.event.data["n"])}

    def invoked_fails(ctx: inngest.ContextSync) -> Any:
        raise inngest.NonRetriableError("child broke")

    def invoked_sleeps(ctx: inngest.ContextSync) -> Any:
        ctx.step.sleep("long", MINUTE)

    return create(client, invoked, invoked_fails, invoked_sleeps)


def _waits(client: inngest.Inngest) -> Made:
    app = client.app_id

    def _wait(ctx: inngest.ContextSync, wanted: int, timeout: datetime.timedelta) -> Any:
        """Wait beside a step that sends an event of number 1 and one of number 2."""
        event = f"{app}/awaited"
        paid = [inngest.Event(name=event, data={"n": n, "run": ctx.run_id}) for n in (1, 2)]
        condition = f"async.data.run == '{ctx.run_id}' && async.data.n == {wanted}"
        found, _ = ctx.group.parallel(
            (
                lambda: ctx.step.wait_for_event(
                    "wait", event=event, if_exp=condition, timeout=timeout
                ),
                lambda: ctx.step.send_event("send", paid),
            )
        )
        return None if found is None else [found.name, found.data["n"]]

    def wait(ctx: inngest.ContextSync) -> Any:
        return _wait(ctx, 2, MINUTE)

    def wait_in_vain(ctx: inngest.ContextSync) -> Any:
        return _wait(ctx, 3, SECOND)

    def wait_timeout(ctx: inngest.ContextSync) -> Any:
        found = ctx.step.wait_for_event("wait", event=f"{app}/never", timeout=SECOND)
        return "timed out" if found is None else found.name

    return create(client, wait, wait_in_vain, wait_timeout)


def _invokes(client: inngest.Inngest, child: Any, failing: Any, sleeping: Any) -> Made:
    app = client.app_id

    def invoke(ctx: inngest.ContextSync) -> Any:
        return ctx.step.invoke("call", function=child, data={"n": 7})

    def invoke_by_id(ctx: inngest.ContextSync) -> Any:
        return ctx.step.invoke_by_id("call", app_id=app, function_id="invoked", data={"n": 8})

    def invoke_many(ctx: inngest.ContextSync) -> Any:
        return ctx.group.parallel(
            tuple(
                (lambda n=n: ctx.step.invoke(f"call-{n}", function=child, data={"n": n}))
                for n in range(3)
            )
        )

    def invoke_fails(ctx: inngest.ContextSync) -> Any:
        return _error_of(lambda: ctx.step.invoke("call", function=failing))

    def invoke_timeout(ctx: inngest.ContextSync) -> Any:
        return _error_of(lambda: ctx.step.invoke("call", function=sleeping, timeout=SECOND))

    def invoke_unknown(ctx: inngest.ContextSync) -> Any:
        return _error_of(lambda: ctx.step.invoke_by_id("call", function_id="nobody"))

    return create(
        client,
        invoke,
        invoke_by_id,
        invoke_many,
        invoke_fails,
        invoke_timeout,
        invoke_unknown,
    )
