"""The Python SDK with checkpointing: one call instead of one a step, and the same results."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import inngest
import pytest
import requests

import inngest_py.sdk
from tests.processes import Server, wait_until

from . import serving
from .app_process import SdkApp
from .client import Api

pytestmark = [
    # the SDK's own use of pydantic and of deprecated parts of asyncio warns
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.parametrize("server", ["embedded"], indirect=True),
]
Define = Callable[[inngest.Inngest, Counter[str]], serving.Functions]


def _blocking(client: inngest.Inngest, seen: Counter[str]) -> serving.Functions:
    def five(ctx: inngest.ContextSync) -> Any:
        seen["calls"] += 1

        def body(number: int) -> int:
            seen[f"s{number}"] += 1
            return number

        found = [ctx.step.run(f"s{number}", body, number) for number in range(5)]
        ctx.step.sleep("rest", 10)
        return sum(found) + ctx.step.run("s5", body, 5)

    trigger = inngest.TriggerEvent(event=f"{client.app_id}/five")
    return [client.create_function(fn_id="five", trigger=trigger)(five)]


def _asyncio(client: inngest.Inngest, seen: Counter[str]) -> serving.Functions:
    async def five(ctx: inngest.Context) -> Any:
        seen["calls"] += 1

        async def body(number: int) -> int:
            seen[f"s{number}"] += 1
            return number

        found = [await ctx.step.run(f"s{number}", body, number) for number in range(5)]
        await ctx.step.sleep("rest", 10)
        return sum(found) + await ctx.step.run("s5", body, 5)

    trigger = inngest.TriggerEvent(event=f"{client.app_id}/five")
    return [client.create_function(fn_id="five", trigger=trigger)(five)]


@pytest.mark.parametrize(
    ("framework", "define"),
    [
        (serving.flask, _blocking),
        (serving.flask, _asyncio),
        (serving.fastapi, _blocking),
        (serving.fastapi, _asyncio),
        (serving.django, _blocking),
        (serving.django, _asyncio),
        (serving.tornado, _blocking),
        (serving.connected, _blocking),
        (serving.connected, _asyncio),
    ],
)
def test_steps_need_no_call_of_their_own(
    server: Server, request: pytest.FixtureRequest, framework: Any, define: Define
) -> None:
    api, seen, app = Api(server.url), Counter[str](), request.node.callspec.id
    client = _client(server, app, inngest_py.sdk.checkpointing())
    with serving.registered(framework, client, define(client, seen)):
        run = api.run(api.send(f"{app}/five"))
    assert (run["status"], run["output"]) == ("Completed", 15)
    assert seen == {"calls": 2} | {f"s{number}": 1 for number in range(6)}


@pytest.mark.parametrize("framework", ["flask", "gunicorn", "fastapi"])
def test_buffered_steps_are_sent_on_sigterm(server: Server, framework: str, tmp_path: Path) -> None:
    """Flask's own server dies of it at once, the others wait for the step under way."""
    api, gate = Api(server.url), tmp_path / "gate"
    env = {"FRAMEWORK": framework, "GATE": str(gate)}
    with SdkApp("python-leaving", server.url, tmp_path, env).start() as app:
        assert app.register().ok
        event = api.send(f"{app.kind}/held")
        wait_until(lambda: len(app.effects()) == 4, 30, "the last step runs")
        (run,) = api.runs(event)
        os.kill(app.pid, signal.SIGTERM)

        def stored() -> bool:
            found = requests.get(f"{server.url}/v0/runs/{run['run_id']}/actions", timeout=10)
            return len(found.json()) == 3

        wait_until(stored, 20, "three steps are stored")
        app.kill9()
        gate.touch()
        app.start()
        assert api.run(event)["output"] == 6, app.log_tail()
        count = Counter(line["step"] for line in app.effects(run["run_id"]))
    assert count == {"s0": 1, "s1": 1, "s2": 1, "s3": 2}


def _client(server: Server, app: str, *middleware: Any) -> inngest.Inngest:
    return inngest.Inngest(
        app_id=app,
        api_base_url=server.url,
        event_api_base_url=server.url,
        is_production=False,
        middleware=list(middleware),
    )
