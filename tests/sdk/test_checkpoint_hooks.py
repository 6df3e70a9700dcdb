"""With checkpointing, the Python SDK's middleware, serializers and errors are as without it."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import inngest
import pydantic
import pytest
from inngest_encryption import EncryptionMiddleware

import inngest_py.sdk
from tests.api.gql import QUERIES
from tests.processes import Server

from . import serving
from .client import Api

pytestmark = [
    # the SDK's own use of pydantic and of deprecated parts of asyncio warns
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.parametrize("server", ["embedded"], indirect=True),
]
SECRET, ENCRYPTED = "secret", "__ENCRYPTED__"
PLAIN, SENT = "plain", "sent"  # without checkpointing, and with it


class Point(pydantic.BaseModel):
    """What a step returns by a serializer."""

    x: int


class Recorder(inngest.MiddlewareSync):
    """Notes the hooks of each run."""

    traces: defaultdict[str, list[Any]] = defaultdict(list)
    _run = ""

    def transform_input(self, ctx: Any, function: Any, steps: Any) -> None:
        self._run = ctx.run_id
        self.traces[self._run].append("transform_input")

    def before_execution(self) -> None:
        self.traces[self._run].append("before")

    def after_execution(self) -> None:
        self.traces[self._run].append("after")

    def transform_output(self, result: inngest.TransformOutputResult) -> None:
        step = result.step and (result.step.id, result.step.op.value)
        found = result.output if result.has_output() else None
        self.traces[self._run].append((step, found, result.error and str(result.error)))

    def before_response(self) -> None:
        self.traces[self._run].append("response")


class Redacting(inngest.MiddlewareSync):
    """Stores less than a step returned; nothing gives it back."""

    def transform_input(self, ctx: Any, function: Any, steps: Any) -> None:
        """Belongs to it, and changes nothing."""

    def transform_output(self, result: inngest.TransformOutputResult) -> None:
        if result.step is not None and result.has_output():
            result.output = "redacted"


class Breaking(inngest.MiddlewareSync):
    """Fails after one step, in its first try."""

    runs: set[str] = set()
    _run = ""

    def transform_input(self, ctx: Any, function: Any, steps: Any) -> None:
        self._run = ctx.run_id

    def transform_output(self, result: inngest.TransformOutputResult) -> None:
        if result.step is not None and result.step.id == "b" and self._run not in self.runs:
            self.runs.add(self._run)
            raise ValueError("broken hook")


class Bodies:
    """Counts how often each body ran in each run."""

    def __init__(self) -> None:
        self.counts: defaultdict[str, dict[str, int]] = defaultdict(dict)

    def ran(self, ctx: inngest.Context | inngest.ContextSync, step: str) -> int:
        counts = self.counts[ctx.run_id]
        counts[step] = counts.get(step, 0) + 1
        return counts[step]


def _blocking(bodies: Bodies) -> dict[str, Callable[..., Any]]:
    def ordered(ctx: inngest.ContextSync) -> Any:
        def flaky() -> str:
            if bodies.ran(ctx, "flaky") == 1:
                raise ValueError("not yet")
            return "at last"

        def bad() -> None:
            bodies.ran(ctx, "bad")
            raise KeyError("bad luck")

        seen: list[Any] = [ctx.step.run("a", lambda: (bodies.ran(ctx, "a"), 2))]
        seen.append(ctx.step.run("b", lambda: {1: bodies.ran(ctx, "b")}))
        seen.append(ctx.step.run("flaky", flaky))
        try:
            ctx.step.run("bad", bad)
        except inngest.StepError as error:
            seen.append([error.name, error.message])
        seen += [ctx.step.run("again", bodies.ran, ctx, "again") for _ in range(3)]
        return [*seen, ctx.step.run("none", lambda: None)]

    def typed(ctx: inngest.ContextSync) -> Any:
        point = ctx.step.run("point", lambda: Point(x=3), output_type=Point)
        return [type(point).__name__, point.x, ctx.step.run("b", lambda: 1)]

    def lost(ctx: inngest.ContextSync) -> Any:
        ctx.step.run("a", bodies.ran, ctx, "a")
        return ctx.step.run("what", lambda: {bodies.ran(ctx, "what")})

    def nested(ctx: inngest.ContextSync) -> Any:
        ctx.step.run("a", bodies.ran, ctx, "a")
        return ctx.step.run("outer", lambda: ctx.step.run("inner", lambda: 1))

    return {"ordered": ordered, "typed": typed, "lost": lost, "nested": nested}


def _asyncio(bodies: Bodies) -> dict[str, Callable[..., Any]]:
    async def ordered(ctx: inngest.Context) -> Any:
        async def flaky() -> str:
            if bodies.ran(ctx, "flaky") == 1:
                raise ValueError("not yet")
            return "at last"

        async def bad() -> None:
            bodies.ran(ctx, "bad")
            raise KeyError("bad luck")

        async def body(step: str, made: Callable[[int], Any]) -> Any:
            return made(bodies.ran(ctx, step))

        seen: list[Any] = [await ctx.step.run("a", body, "a", lambda count: (count, 2))]
        seen.append(await ctx.step.run("b", body, "b", lambda count: {1: count}))
        seen.append(await ctx.step.run("flaky", flaky))
        try:
            await ctx.step.run("bad", bad)
        except inngest.StepError as error:
            seen.append([error.name, error.message])
        seen += [await ctx.step.run("again", body, "again", int) for _ in range(3)]
        return [*seen, await ctx.step.run("none", body, "none", lambda _: None)]

    async def typed(ctx: inngest.Context) -> Any:
        async def point() -> Point:
            return Point(x=3)

        async def one() -> int:
            return 1

        found = await ctx.step.run("point", point, output_type=Point)
        return [type(found).__name__, found.x, await ctx.step.run("b", one)]

    async def lost(ctx: inngest.Context) -> Any:
        async def body(step: str) -> Any:
            return {bodies.ran(ctx, step)}

        return await ctx.step.run("what", body, "what")

    async def nested(ctx: inngest.Context) -> Any:
        async def inner() -> int:
            return 1

        async def outer() -> int:
            return await ctx.step.run("inner", inner)

        return await ctx.step.run("outer", outer)

    return {"ordered": ordered, "typed": typed, "lost": lost, "nested": nested}


@dataclass
class Pair:
    """The same functions with checkpointing and without, in one app."""

    api: Api
    app: str
    bodies: Bodies

    def runs(self, name: str) -> dict[str, dict[str, Any]]:
        """Run the function both ways, at the same time; by which way it was."""
        events = {way: self.api.send(f"{self.app}/{name}-{way}") for way in (PLAIN, SENT)}
        return {way: self.api.run(event) for way, event in events.items()}


@pytest.fixture(scope="module", params=["flask-blocking", "fastapi-asyncio"])
def pair(request: pytest.FixtureRequest, server: Server) -> Iterator[Pair]:
    """An app of one framework, whose middleware notes the hooks of each run."""
    app, bodies = request.param, Bodies()
    framework = {"flask-blocking": serving.flask, "fastapi-asyncio": serving.fastapi}[app]
    handlers = (_blocking if app == "flask-blocking" else _asyncio)(bodies)
    client = inngest.Inngest(
        app_id=app,
        api_base_url=server.url,
        event_api_base_url=server.url,
        is_production=False,
        middleware=[inngest_py.sdk.checkpointing(), Recorder],
        serializer=inngest.PydanticSerializer(),
    )
    more = {
        "ordered": [],
        "typed": [],
        "lost": [],
        "nested": [],
        "encrypted": [EncryptionMiddleware.factory(SECRET)],
        "redacted": [Redacting],
        "breaking": [Breaking],
    }
    functions = [
        client.create_function(
            fn_id=f"{name}-{way}",
            trigger=inngest.TriggerEvent(event=f"{app}/{name}-{way}"),
            retries=1,
            middleware=[*([inngest_py.sdk.checkpointing(enabled=False)] * (way == PLAIN)), *own],
        )(handlers.get(name, handlers["ordered"]))
        for name, own in more.items()
        for way in (PLAIN, SENT)
    ]
    with serving.registered(framework, client, functions):
        yield Pair(Api(server.url), app, bodies)


def _between(trace: list[Any]) -> list[Any]:
    """The hooks of steps, without those of calls, whose number differs."""
    steps = [one for one in trace if one not in ("transform_input", "response")]
    return [(one[0], _told(one[1]), one[2]) if isinstance(one, tuple) else one for one in steps]


def _same(pair: Pair, name: str) -> dict[str, Any]:
    runs = pair.runs(name)
    plain, sent = runs[PLAIN], runs[SENT]
    assert (plain["status"], _told(plain["output"])) == (sent["status"], _told(sent["output"]))
    assert pair.bodies.counts[plain["run_id"]] == pair.bodies.counts[sent["run_id"]]
    traces = [Recorder.traces[run["run_id"]] for run in (plain, sent)]
    assert _between(traces[0]) == _between(traces[1])
    assert traces[0].count("response") > traces[1].count("response") or name in ("lost", "nested")
    return sent


def _told(output: Any) -> Any:
    """An output decrypted, an error without its stack."""
    if not isinstance(output, dict) or ENCRYPTED not in output:
        return {**output, "stack": None} if isinstance(output, dict) else output
    client = inngest.Inngest(app_id="reader", is_production=False)
    return EncryptionMiddleware(client, None, SECRET)._decrypt(output)


def test_hooks_results_and_errors_are_the_same(pair: Pair) -> None:
    found = _same(pair, "ordered")
    assert found["output"] == [
        *([1, 2], {"1": 1}, "at last", ["KeyError", "'bad luck'"]),
        *(1, 2, 3, None),
    ]
    # the start, two retries, what follows each of them
    assert Recorder.traces[found["run_id"]].count("response") == 5


def test_types_are_kept(pair: Pair) -> None:
    assert _same(pair, "typed")["output"] == ["Point", 3, 1]


@pytest.mark.parametrize("name", ["lost", "nested"])
def test_steps_that_cannot_be_stored_fail_as_without_it(pair: Pair, name: str) -> None:
    assert _same(pair, name)["status"] == "Failed"


def test_encrypted_results_are_sent_encrypted(pair: Pair) -> None:
    found = _same(pair, "encrypted")
    assert found["status"] == "Completed"
    steps = [one for one in Recorder.traces[found["run_id"]] if isinstance(one, tuple)]
    assert len(steps) > 8
    assert all(ENCRYPTED in output for _, output, error in steps if error is None)
    trace = pair.api.gql(QUERIES["run"], id=found["run_id"])["trace"]
    ids = [span["outputID"] for span in trace["childrenSpans"] if span["status"] == "COMPLETED"]
    stored = [pair.api.gql(QUERIES["runTraceSpanOutputByID"], id=one)["data"] for one in ids]
    assert len(stored) >= 7
    assert all(ENCRYPTED in one for one in stored), stored


def test_a_function_sees_what_is_stored_of_a_result(pair: Pair) -> None:
    output = _same(pair, "redacted")["output"]
    assert [one for one in output if one != "redacted"] == [["KeyError", "'bad luck'"]]


def test_a_hook_that_fails_fails_the_attempt(pair: Pair) -> None:
    found = _same(pair, "breaking")
    assert found["status"] == "Completed"
    assert pair.bodies.counts[found["run_id"]]["b"] == 2
