"""Helpers for tests of waits: several functions, and a script that waits and then returns."""

from collections.abc import Mapping
from typing import Any

from inngest_py.domain.functions.registration import parse_registration
from inngest_py.domain.reply.read import Reply
from inngest_py.engine.apps import register
from inngest_py.engine.intake import publish
from inngest_py.storage.events import waits as wait_rows
from inngest_py.storage.queries import timeline_rows
from tests.engine.harness import Engine, Script
from tests.factories import op, reply, step

URL = "http://localhost:1/api/inngest"
VERSION = {"x_inngest_req_version": "2"}


def add_functions(engine: Engine, triggers: Mapping[str, str]) -> None:
    """Register functions by id (`app-…`), each with its event."""
    functions = [
        {
            "id": slug,
            "name": slug,
            "triggers": [{"event": event}],
            "steps": {
                "step": {
                    "id": "step",
                    "name": "step",
                    "runtime": {"type": "http", "url": f"{URL}?fnId={slug}&stepId=step"},
                    "retries": {"attempts": 0},
                }
            },
        }
        for slug, event in triggers.items()
    ]
    payload = {"appName": "app", "url": URL, "functions": functions}
    register.register(engine.ctx, parse_registration(payload))


def waits(*ops: dict[str, Any], version: str = "2") -> Script:
    """Script a function that reports the ops until all have results, and returns these."""

    def script(request: dict[str, Any], target: str) -> Reply:
        left = [one for one in ops if one["id"] not in request["steps"]]
        if not left:
            return reply(200, [request["steps"][one["id"]] for one in ops])
        return reply(206, left, x_inngest_req_version=version)

    return script


def for_event(name: str = "w", event: str = "x/y", timeout: str = "1h", **opts: Any) -> Any:
    """Make an op that waits for an event."""
    return op("WaitForEvent", name, name=event, opts={"timeout": timeout} | opts)


def invoke(name: str = "i", function: str = "app-child", **opts: Any) -> Any:
    """Make an op that invokes a function."""
    return op("InvokeFunction", name, opts={"function_id": function} | opts)


def for_signal(name: str = "s", signal: str = "sig", **opts: Any) -> Any:
    """Make an op that waits for a signal."""
    return op("WaitForSignal", name, name=signal, opts={"signal": signal, "timeout": "1h"} | opts)


def by_event(scripts: Mapping[str, Script]) -> Script:
    """Script several functions, chosen by the event that started them."""

    def script(request: dict[str, Any], target: str) -> Reply:
        return scripts[request["event"]["name"]](request, target)

    return script


def returning(status: int, body: Any, **headers: str) -> Script:
    """Script a function that answers at once."""
    return lambda *_: reply(status, body, **headers)


def send(engine: Engine, name: str = "x/y", **fields: Any) -> str:
    """Accept an event and run what it starts or resumes; return its id."""
    event = engine.event(name, **fields)
    publish.accept(engine.ctx, [event])
    engine.drain()
    return event.id


def open_waits(engine: Engine, run_id: str) -> list[Any]:
    """List the open waits of a run."""
    with engine.ctx.db.reading() as tx:
        return wait_rows.of_run(tx, run_id)


def tried(engine: Engine, run_id: str, name: str) -> list[Any]:
    """List the attempts of a step."""
    with engine.ctx.db.reading() as tx:
        return [row for row in timeline_rows.attempts_of(tx, run_id) if row["step"] == step(name)]
