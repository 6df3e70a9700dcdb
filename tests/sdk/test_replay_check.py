"""The replay check with the real Python SDK: no step runs, and each change is told."""

import asyncio
import datetime
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import inngest
import pytest
import requests
from click.testing import CliRunner, Result

import inngest_py.sdk
from inngest_py.cli import cli
from inngest_py.sdk import steps
from tests.processes import Server, wait_until

from . import serving
from .app_process import SdkApp
from .client import Api

pytestmark = [
    # the SDK's own use of pydantic and of deprecated parts of asyncio warns
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.parametrize("server", ["embedded"], indirect=True),
]
HOUR = datetime.timedelta(hours=1)
Part = str | tuple[str, ...]  # a step's id, or those of steps that run side by side
OLD: tuple[Part, ...] = ("a", ("p", "q"), "sum", "bad", "b", "sleep:rest")
CHANGES: dict[str, tuple[tuple[Part, ...], list[str]]] = {
    "unchanged": (OLD, []),
    "inserted": (
        ("a", ("p", "q"), "sum", "x", "bad", "b", "sleep:rest"),
        [
            "'x' is new: the new code asks for it after 'sum' (step 4), where the run has 'bad'"
            " (step 5)"
        ],
    ),
    "renamed": (
        ("a", ("p", "q"), "sum", "bad", "c", "sleep:rest"),
        [
            "'c' is new: the new code asks for it after 'bad' (step 5), where the run has 'b'"
            " (step 6)",
            "'b' (step 6) is gone, or comes later: the new code does not ask for it before 'rest'"
            " (not ended yet)",
        ],
    ),
    "removed": (
        (("p", "q"), "sum", "bad", "b", "sleep:rest"),
        [
            "'a' (step 1) is gone, or comes later: the new code does not ask for it before 'rest'"
            " (not ended yet)",
        ],
    ),
    "moved": (
        ("b", "a", ("p", "q"), "sum", "bad", "sleep:rest"),
        ["'b' (step 6) has moved: the new code asks for it before 'a' (step 1)"],
    ),
    "another kind": (
        ("a", ("p", "q"), "sum", "bad", "b", "wait:rest"),
        ["'rest' (not ended yet) has changed: it was a sleep and is now a wait for an event"],
    ),
    "ends early": (
        ("a", ("p", "q"), "sum", "bad", "b"),
        [
            "the new code ends after 'b' (step 6), where the run has 'rest' (not ended yet)",
            "'rest' (not ended yet) is gone: the new code never asks for it",
        ],
    ),
    "raises": (
        ("a", ("p", "q"), "sum", "raise:no luck", "bad", "b", "sleep:rest"),
        [
            "the new code raises ValueError after 'sum' (step 4), where the run has 'bad' (step 5):"
            " no luck"
        ],
    ),
}


class Code:
    """A function made of parts; `ran` counts the bodies of steps that ran."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self.parts = parts
        self.ran: Counter[str] = Counter()

    def _body(self, name: str) -> Callable[[], str]:
        def run() -> str:
            self.ran[name] += 1
            if name == "bad":
                raise ValueError("bad luck")
            return name

        return run

    def blocking(self, ctx: inngest.ContextSync) -> None:
        for part in self.parts:
            if isinstance(part, tuple):
                ctx.group.parallel(
                    tuple((lambda n=name: ctx.step.run(n, self._body(n))) for name in part)
                )
            elif part.startswith("sleep:"):
                ctx.step.sleep(part[6:], HOUR)
            elif part.startswith("wait:"):
                ctx.step.wait_for_event(part[5:], event="never", timeout=HOUR)
            elif part.startswith("raise:"):
                raise ValueError(part[6:])
            else:
                try:
                    ctx.step.run(part, self._body(part))
                except inngest.StepError:
                    assert part == "bad"

    async def asynchronous(self, ctx: inngest.Context) -> None:
        for part in self.parts:
            if isinstance(part, tuple):
                await ctx.group.parallel(
                    tuple((lambda n=name: ctx.step.run(n, self._later(n))) for name in part)
                )
            elif part.startswith("sleep:"):
                await ctx.step.sleep(part[6:], HOUR)
            elif part.startswith("wait:"):
                await ctx.step.wait_for_event(part[5:], event="never", timeout=HOUR)
            elif part.startswith("raise:"):
                raise ValueError(part[6:])
            else:
                try:
                    await ctx.step.run(part, self._later(part))
                except inngest.StepError:
                    assert part == "bad"

    def _later(self, name: str) -> Callable[[], Any]:
        async def run() -> str:
            await asyncio.sleep(0)
            return self._body(name)()

        return run


def _client(server: Server, app: str, *middleware: Any) -> inngest.Inngest:
    return inngest.Inngest(
        app_id=app,
        api_base_url=server.url,
        event_api_base_url=server.url,
        is_production=False,
        middleware=list(middleware),
    )


def _functions(
    client: inngest.Inngest, codes: dict[str, Code], *, blocking: bool = True
) -> serving.Functions:
    return [
        client.create_function(
            fn_id=name,
            trigger=inngest.TriggerEvent(event=f"{client.app_id}/{name}"),
            retries=0,
        )(code.blocking if blocking else code.asynchronous)
        for name, code in codes.items()
    ]


@contextmanager
def deployed_next(server: Server, framework: Any, app: str, **codes: Code) -> Iterator[str]:
    """Serve code that is not registered, with checkpoints as it would have them; yields the URL."""
    client = _client(server, app, inngest_py.sdk.checkpointing())
    functions = _functions(client, codes, blocking=framework is serving.flask)
    with framework(client, functions) as url:
        yield f"{url}/api/inngest"


def replay(server: Server, *args: str) -> Result:
    return CliRunner().invoke(cli, ["replay", *args, "--url", server.url])


def in_flight(server: Server, framework: Any, app: str, *functions: str) -> list[str]:
    """Start a run of each function, with the code that is deployed now; return their ids."""
    api = Api(server.url)
    client = _client(server, app)
    codes = {name: Code(OLD) for name in functions}
    made = _functions(client, codes, blocking=framework is serving.flask)
    with serving.registered(framework, client, made):
        events = [api.send(f"{app}/{name}") for name in functions]
        runs = [api.runs(event)[0]["run_id"] for event in events]

        def all_rest() -> bool:
            return all(_sleeps(server, run_id) for run_id in runs)

        wait_until(all_rest, 30, "the runs sleep")
    return runs


def _sleeps(server: Server, run_id: str) -> bool:
    shown = requests.get(f"{server.url}/api/v1/runs/{run_id}", timeout=10).json()["data"]
    return [item["kind"] for item in shown["queued"]] == ["sleep"]


@pytest.mark.parametrize("framework", [serving.flask, serving.fastapi])
def test_each_change_is_told_and_no_step_runs(server: Server, framework: Any) -> None:
    app = f"replay-{framework.__name__}"
    [run_id] = in_flight(server, framework, app, "order")
    told, code = {}, Code(OLD)
    with deployed_next(server, framework, app, order=code) as url:
        for name, (parts, _) in CHANGES.items():
            code.parts = parts
            found = replay(server, run_id, "--app", url)
            told[name] = (found.exit_code, found.output.splitlines()[1:])
        lacking = _replay_of_another_function(server, url)
    assert told == {
        name: (int(bool(texts)), [f"- {text}" for text in texts])
        for name, (_, texts) in CHANGES.items()
    }
    assert (lacking.exit_code, "has no function" in lacking.output) == (2, True), lacking.output
    assert code.ran == {}
    assert _sleeps(server, run_id)


def test_an_app_in_production_mode_refuses_a_server_without_keys(server: Server) -> None:
    [run_id] = in_flight(server, serving.flask, "replay-keys", "order")
    code = Code(OLD)
    client = inngest.Inngest(
        app_id="replay-keys", is_production=True, signing_key="signkey-prod-12", event_key="x"
    )
    with serving.flask(client, _functions(client, {"order": code})) as url:
        found = replay(server, run_id, "--app", f"{url}/api/inngest")
    assert (found.exit_code, code.ran) == (2, {})
    assert "refuses the server's signature (401)" in found.output
    gone = replay(server, run_id, "--app", f"{url}/api/inngest")
    assert (gone.exit_code, "connection refused" in gone.output) == (2, True)


def _replay_of_another_function(server: Server, url: str) -> Result:
    """Check a run of a function that the app at the URL does not have."""
    function = {"app": "elsewhere", "name": "fn", "url": "http://127.0.0.1:1/api/inngest"}
    body = function | {"triggers": [{"event": "elsewhere/fn"}]}
    reply = requests.post(f"{server.url}/api/v1/functions", json=body, timeout=10)
    assert reply.ok, reply.text
    api = Api(server.url)
    [run] = api.runs(api.send("elsewhere/fn"))
    return replay(server, run["run_id"], "--app", url)


@pytest.mark.parametrize("version", ["v4", "v3"])
def test_changes_of_a_typescript_app(server: Server, version: str, tmp_path: Path) -> None:
    parts = tmp_path / "parts.json"
    parts.write_text(json.dumps(["a", ["p", "q"], "sum", "b", "sleep:rest"]))
    env = {"PARTS": str(parts)}
    with SdkApp(f"ts-{version}-replay", server.url, tmp_path, env).start() as app:
        assert app.register().ok, app.log_tail()
        api = Api(server.url)
        [run] = api.runs(api.send(f"{app.kind}/order"))
        wait_until(lambda: _sleeps(server, run["run_id"]), 30, "the run sleeps")
        ran, told = app.effects(), {}
        for name, now in {
            "unchanged": ["a", ["p", "q"], "sum", "b", "sleep:rest", "c"],
            "beside": ["a", ["p", "q", "r"], "sum", "b", "sleep:rest"],
            "moved": ["a", ["p", "q"], "b", "sum", "sleep:rest"],
            "removed": ["a", ["p", "q"], "sum", "sleep:rest"],
            "ends": ["a", ["p", "q"], "sum", "b"],
            "another kind": ["a", ["p", "q"], "sum", "b", "wait:rest"],
        }.items():
            parts.write_text(json.dumps(now))
            found = replay(server, "--function", f"{app.kind}-order", "--app", app.url, "--json")
            runs = json.loads(found.output)["runs"]
            assert found.exit_code == bool(runs)
            findings = [one for run in runs for one in run["findings"]]
            told[name] = [(one["change"], one["name"]) for one in findings]
        assert app.effects() == ran
        lacking = _replay_of_another_function(server, app.url)
    assert (lacking.exit_code, "has no function" in lacking.output) == (2, True), lacking.output
    assert told == {
        "unchanged": [],
        "beside": [("new", "r")],
        "moved": [("reordered", "b")],
        "removed": [("missing", "b")],
        "ends": [("ends_early", None), ("missing", "rest")],
        "another kind": [("kind", "rest")],
    }


def test_helpers_of_the_side_package_move_nothing(server: Server) -> None:
    """They report some steps at once where others have to be planned; a check plans them."""
    seen: Counter[str] = Counter()

    def work(item: int) -> int:
        seen[str(item)] += 1
        return item

    def order(ctx: inngest.ContextSync) -> object:
        found = steps.map(ctx, "all", [1, 2, 3], work, concurrency=2)
        won = steps.race(
            ctx,
            "first",
            {
                "quick": lambda: ctx.step.run("quick", work, 4),
                "slow": lambda: ctx.step.sleep("slow", HOUR),
            },
        )
        steps.metadata(ctx, "note", {"n": 1})
        with steps.compensate(ctx) as saga:
            saga.add("undo", work, 5)
            ctx.step.run("refused", refuse)
        return [*found, won.name]

    def refuse() -> None:
        seen["refused"] += 1
        raise inngest.NonRetriableError("no")

    app, api = "replay-helpers", Api(server.url)
    client = _client(server, app)
    trigger = inngest.TriggerEvent(event=f"{app}/order")
    made: serving.Functions = [client.create_function(fn_id="order", trigger=trigger)(order)]
    with serving.registered(serving.flask, client, made):
        run = api.run(api.send(f"{app}/order"))
        assert (run["output"]["message"], seen["5"]) == ("no", 1)
        ran, url = Counter(seen), next(one["url"] for one in api.apps() if one["name"] == app)
        found = replay(server, run["run_id"], "--app", url)
    assert (found.exit_code, seen) == (0, ran), found.output
