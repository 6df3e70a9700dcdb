"""Checkpoints of the Python SDK that fail: no step runs twice, and none after a 409."""

import contextlib
import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import inngest
import pytest

import inngest_py.sdk
from inngest_py.sdk.checkpoints import sending
from tests.processes import LOOPBACK, Server, wait_until

from . import serving
from .client import Api

pytestmark = [
    # the SDK's own use of pydantic and of deprecated parts of asyncio warns
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.parametrize("server", ["embedded"], indirect=True),
]
DROP = 0  # no answer: the connection ends
STEPS = 6
SUM = sum(range(STEPS))
KEY = "signkey-test-" + "ab" * 16


class Between:
    """A proxy for the server's API, which may answer checkpoints itself.

    `answers` has statuses for the next ones, `after` is whether the server stores these first.
    """

    def __init__(self, server: Server) -> None:
        self.answers: list[int] = []
        self.after = False
        self.refused_keys: set[str] = set()
        self.checkpoints: list[bytes] = []
        self.connections: set[tuple[str, int]] = set()
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # the name is the base class's
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if "/checkpoint/" in self.path:
                    between.connections.add(self.client_address)
                    between.checkpoints.append(body)
                    status, found = between.answer(self.path, body, self.headers)
                else:
                    status, found = between.forward(self.path, body)
                if status == DROP:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(found)))
                self.end_headers()
                self.wfile.write(found)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = server
        self._http = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self._http.server_port}"

    def answer(self, path: str, body: bytes, headers: Any) -> tuple[int, bytes]:
        """Answer as told, or as the server does."""
        if headers.get("Authorization") in self.refused_keys:
            return 401, b"{}"
        own = self.answers.pop(0) if self.answers else None
        if own is not None and not self.after:
            return own, b"{}"
        found = self.forward(path, body)
        return found if own is None else (own, b"{}")

    def forward(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Answer as the server does."""
        connection = http.client.HTTPConnection(LOOPBACK, self._server.port)
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        found = reply.read()
        connection.close()
        return reply.status, found

    def __enter__(self) -> "Between":
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self._http.shutdown()
        self._http.server_close()


class App:
    """An app with one function of some steps, its checkpoints go through a proxy."""

    def __init__(self, server: Server, between: Between, **client: Any) -> None:
        self.ran: Counter[str] = Counter()
        self.gate: Callable[[str], None] = lambda step: None
        self.ends: Future[BaseException] = Future()
        self.api = Api(server.url)
        self.client = inngest.Inngest(
            app_id="failures",
            api_base_url=between.url,
            event_api_base_url=server.url,
            is_production=False,
            **client,
        )

    def body(self, step: str, value: int) -> int:
        """Run a step."""
        self.ran[step] += 1
        self.gate(step)
        return value

    def blocking(self, ctx: inngest.ContextSync) -> int:
        """The function of blocking apps."""
        self.ran["calls"] += 1
        try:
            return sum(
                ctx.step.run(f"s{number}", self.body, f"s{number}", number)
                for number in range(STEPS)
            )
        except BaseException as error:
            with contextlib.suppress(Exception):
                self.ends.set_result(error)
            raise

    async def asyncio(self, ctx: inngest.Context) -> int:
        """The function of async apps."""
        self.ran["calls"] += 1

        async def body(number: int) -> int:
            return self.body(f"s{number}", number)

        try:
            return sum([await ctx.step.run(f"s{n}", body, n) for n in range(STEPS)])
        except BaseException as error:
            with contextlib.suppress(Exception):
                self.ends.set_result(error)
            raise

    @contextlib.contextmanager
    def served(self, way: str = "blocking", **options: Any) -> Iterator["App"]:
        """Serve and register it: blocking with Flask, asyncio with FastAPI."""
        sending._resting.clear()
        function = self.client.create_function(
            fn_id="steps",
            trigger=inngest.TriggerEvent(event="failures/steps"),
            retries=0,
            middleware=[inngest_py.sdk.checkpointing(**options)],
        )(getattr(self, way))
        framework = {"blocking": serving.flask, "asyncio": serving.fastapi}[way]
        with serving.registered(framework, self.client, [function]):
            yield self

    def run(self) -> dict[str, Any]:
        """Run it to its end."""
        return self.api.run(self.api.send("failures/steps"))

    def check(self, run: dict[str, Any], calls: int) -> None:
        """Say that each step ran once, in so many calls."""
        assert (run["status"], run["output"]) == ("Completed", SUM)
        assert self.ran == {f"s{number}": 1 for number in range(STEPS)} | {"calls": calls}


@pytest.fixture
def between(server: Server) -> Iterator[Between]:
    with Between(server) as made:
        yield made


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FIRST_PAUSE_SECONDS", 0.001)


WAYS = pytest.mark.parametrize("way", ["blocking", "asyncio"])


@WAYS
@pytest.mark.parametrize("status", [DROP, 429])
def test_what_may_pass_is_tried_again(
    server: Server, between: Between, way: str, status: int
) -> None:
    """Answers that got lost come after the server stored the steps."""
    between.answers, between.after = [status] * 4, status == DROP
    with App(server, between).served(way) as app:
        app.check(app.run(), calls=1)
    assert len(between.checkpoints) == STEPS + 4


@WAYS
@pytest.mark.parametrize(("status", "buffered_steps"), [(DROP, 1), (503, 4), (413, 4), (404, 1)])
def test_a_refused_checkpoint_is_answered(
    server: Server, between: Between, way: str, status: int, buffered_steps: int
) -> None:
    """The first one is. For what is wrong with this run alone, the next call tries again."""
    between.answers = [status] * (sending.TRIES if status in (DROP, 503) else 1)
    with App(server, between).served(way, buffered_steps=buffered_steps) as app:
        run = app.run()
        if status == 413:
            app.check(run, calls=2)
        else:
            app.check(run, calls=2 + STEPS - buffered_steps)


@WAYS
@pytest.mark.parametrize("after", [True, False])
def test_a_stale_call_runs_no_further_step(
    server: Server, between: Between, way: str, after: bool
) -> None:
    """What it answers is not taken: this one still has its lease, so that the run fails."""
    between.answers, between.after = [409], after
    with App(server, between).served(way) as app:
        run = app.run()
    assert app.ran == {"s0": 1, "calls": 1}
    assert not isinstance(app.ends.result(1), Exception)
    assert run["status"] == "Failed"
    assert "another request has taken over" in run["output"]["message"]


@WAYS
def test_a_cancelled_run_ends_at_its_next_step(server: Server, between: Between, way: str) -> None:
    app, reached, go = App(server, between), threading.Event(), threading.Event()

    def gate(step: str) -> None:
        if step == "s2":
            reached.set()
            assert go.wait(20)

    app.gate = gate
    with app.served(way):
        event = app.api.send("failures/steps")
        assert reached.wait(20)
        (run,) = app.api.runs(event)
        connection = http.client.HTTPConnection(LOOPBACK, server.port)
        connection.request("DELETE", f"/v1/runs/{run['run_id']}")
        assert connection.getresponse().status < 300
        connection.close()
        go.set()
        assert not isinstance(app.ends.result(20), Exception)
        assert app.api.run(event)["status"] == "Cancelled"
    assert app.ran == {"s0": 1, "s1": 1, "s2": 1, "calls": 1}


def test_the_fallback_key_is_used(
    server: Server, between: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inngest_py.domain.access import signatures

    monkeypatch.setenv("INNGEST_SIGNING_KEY_FALLBACK", "signkey-test-" + "cd" * 16)
    between.refused_keys = {f"Bearer {signatures.bearer(KEY)}"}
    with App(server, between, signing_key=KEY).served() as app:
        app.check(app.run(), calls=1)
    assert len(between.checkpoints) == 2 * STEPS


@WAYS
def test_buffers_are_sent_when_full(server: Server, between: Between, way: str) -> None:
    with App(server, between).served(way, buffered_steps=4) as app:
        app.check(app.run(), calls=1)
    # the last two are answered with the result
    assert [body.count(b'"StepRun"') for body in between.checkpoints] == [4]


def test_connections_are_kept(server: Server, between: Between) -> None:
    with App(server, between).served() as app:
        app.check(app.run(), calls=1)
    assert (len(between.checkpoints), len(between.connections)) == (STEPS, 1)


@WAYS
def test_a_step_waits_no_longer_than_the_interval(
    server: Server, between: Between, way: str
) -> None:
    """The first step is sent while the second one runs."""
    app = App(server, between)

    def gate(step: str) -> None:
        if step == "s1":
            wait_until(lambda: between.checkpoints, 20, "the first step was sent")

    app.gate = gate
    with app.served(way, buffered_steps=100, max_interval=20) as app:
        app.check(app.run(), calls=1)
    assert between.checkpoints[0].count(b'"StepRun"') == 1


@WAYS
def test_a_call_ends_when_its_time_is_over(server: Server, between: Between, way: str) -> None:
    with App(server, between).served(way, max_runtime=0.000_001) as app:
        app.check(app.run(), calls=STEPS + 1)
    assert between.checkpoints == []
