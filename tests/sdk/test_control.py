"""Calls that the server makes, time-outs and cancellations, with real SDKs."""

import json
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.processes import LOOPBACK, Process, Server, free_port, wait_until
from tests.provider import Answer, Provider, Received
from tests.sdk import node_runtime
from tests.sdk.apps import effects
from tests.sdk.client import Api


class Control:
    """An app, the server it is registered with, and the service that its functions call."""

    def __init__(self, name: str, server: Server, folder: Path) -> None:
        self.name, self.api, self.log = name, Api(server.url), server.log
        self.effects, self.database = folder / "effects", folder / "server.db"
        self.provider = Provider(self._answer)
        self.held, self.go = threading.Event(), threading.Event()

    def send(self, function: str, **data: Any) -> str:
        return self.api.send(f"{self.name}/{function}", data)

    def run(self, function: str, **data: Any) -> dict[str, Any]:
        return self.api.run(self.send(function, **data))

    def pause(self, function: str, events: str) -> None:
        self._post(f"/v1/functions/{self.name}-{function}/pause", {"events": events})

    def resume(self, function: str) -> None:
        self._post(f"/v1/functions/{self.name}-{function}/resume", {})

    def _post(self, path: str, body: Any) -> None:
        reply = requests.post(f"{self.api.url}{path}", json=body, timeout=20)
        assert reply.status_code == 200, reply.text

    def lines(self, run_id: str) -> list[dict[str, Any]]:
        return [line for line in effects.written(self.effects) if line["run_id"] == run_id]

    def notes(self, run_id: str) -> list[str]:
        return [line["step"] for line in self.lines(run_id)]

    def queued(self, run_id: str) -> list[dict[str, Any]]:
        shown = requests.get(f"{self.api.url}/api/v1/runs/{run_id}", timeout=10).json()["data"]
        found: list[dict[str, Any]] = shown["queued"]
        return found

    def names(self, run_id: str) -> list[str]:
        """The internal events about a run."""
        with closing(sqlite3.connect(self.database)) as db:
            rows = db.execute("SELECT name, payload FROM events WHERE internal").fetchall()
        about = [(name, json.loads(payload)["data"]) for name, payload in rows]
        return sorted(name for name, data in about if data.get("run_id") == run_id)

    def _answer(self, got: Received) -> Answer:
        place = got.path.partition("?")[0]
        if place == "/hold":
            self.held.set()
            self.go.wait(60)
        if place.startswith("/broken"):
            return Answer(500, b'{"why":"busy"}')
        if place == "/missing":
            return Answer(404, b"not here")
        if place == "/empty":
            return Answer(204, b"")
        shown = {"path": got.path, "own": got.headers.get("x-own"), "body": got.body.decode()}
        return Answer(200, json.dumps(shown).encode(), {"content-type": "application/json"})


@pytest.fixture(scope="module", params=["python", "ts"])
def control(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Control]:
    folder = tmp_path_factory.mktemp(request.param)
    args = ("--db", str(folder / "server.db"), "--no-discovery", "--no-poll")
    with Server("dev", *args, "--retry-interval", "1", log=folder / "server.log") as server:
        made = Control(f"{request.param}-control", server.start(), folder)
        port = free_port()
        if request.param == "python":
            argv = [sys.executable, "-m", "tests.sdk.apps.control_app", str(port)]
        else:
            script = str(node_runtime.HERE / "control.mjs")
            v4 = str(node_runtime.installed("v4"))
            argv = [str(node_runtime.NODE), script, v4, str(port)]
        env = {
            "INNGEST_DEV": server.url,
            "EFFECTS": str(made.effects),
            "PROVIDER": made.provider.url,
            "INNGEST_SIGNING_KEY": None,
            "INNGEST_EVENT_KEY": None,
        }
        with made.provider, Process(argv, log=folder / "app.log", env=env) as app:
            app.start()
            serve = f"http://{LOOPBACK}:{port}/api/inngest"
            app.wait_ready(lambda: _introduced(serve))
            reply = requests.put(serve, timeout=20)
            assert reply.status_code == 200, f"{reply.text}\n{app.log_tail()}"
            yield made
            made.go.set()


def _introduced(serve: str) -> bool:
    try:
        return requests.get(serve, timeout=5).status_code == 200
    except requests.RequestException:
        return False


def test_server_calls_models(control: Control) -> None:
    run = control.run("infer")
    assert run["status"] == "Completed", run
    answers = {name: answer["path"] for name, answer in run["output"].items()}
    key = "sk-a-key-of-python" if control.name.startswith("python") else "sk-a-key-of-ts"
    assert answers == {
        "openai": "/openai/chat/completions",
        "deepseek": "/deepseek/chat/completions",
        "grok": "/grok/chat/completions",
        "anthropic": "/anthropic/messages",
        "gemini": f"/gemini/models/flash:generateContent?key={key}",
    }
    assert json.loads(run["output"]["openai"]["body"]) == {"model": "gpt", "prompt": "hello"}
    sent = {got.path.split("/")[1]: got.headers for got in control.provider.received}
    for name in ("openai", "deepseek", "grok"):
        assert sent[name]["authorization"] == f"Bearer {key}"
    assert sent["anthropic"]["x-api-key"] == key
    assert key not in control.log.read_text()


def test_error_of_a_model_reaches_the_function(control: Control) -> None:
    before = len(control.provider.received)
    run = control.run("infer_fails")
    assert run["status"] == "Completed", run
    assert "unsuccessful status code: 500" in run["output"]["message"]
    assert len(control.provider.received) == before + 2


def test_server_makes_the_fetch(control: Control) -> None:
    if control.name != "ts-control":
        pytest.skip("only the TypeScript SDK has step.fetch")
    output = control.run("fetches")["output"]
    assert output["echo"] == {"path": "/echo?q=1", "own": "mine", "body": '{"a":[1,2]}'}
    assert output["kind"] == "application/json"
    assert output["missing"] == [404, "not here"]
    assert output["empty"] == [204, ""]
    failed = control.run("fetch_fails")
    assert failed["status"] == "Completed", failed
    assert "connection refused" in failed["output"]["message"]


def test_a_run_that_takes_too_long_is_cancelled(control: Control) -> None:
    run = control.run("slow")
    assert run["status"] == "Cancelled", run
    assert control.names(run["run_id"]) == [
        "inngest/function.cancelled",
        "inngest/function.finished",
    ]


def test_a_run_that_starts_too_late_is_cancelled(control: Control) -> None:
    sent = [control.send("late") for _ in range(2)]
    ended = [control.api.run(event_id) for event_id in sent]
    assert sorted(run["status"] for run in ended) == ["Cancelled", "Completed"], ended


def test_an_invoked_function_that_is_cancelled(control: Control) -> None:
    sent = control.send("invokes", target="sleeping", timeout=60)

    def child_sleeps() -> bool:
        listed = requests.get(f"{control.api.url}/api/v1/runs", timeout=10).json()["data"]
        children = [run["id"] for run in listed if run["function"].endswith("sleeping")]
        queued = [job["kind"] for run_id in children for job in control.queued(run_id)]
        return queued == ["sleep"]

    wait_until(child_sleeps, 20, "the invoked run to sleep")
    control.send("stop", key=9, really=True)
    found = control.api.run(sent)["output"]["data"]
    # waits.md §4: the step succeeds with the data of the event
    assert found["_inngest"]["status"] == "Cancelled"
    assert found["function_id"] == f"{control.name}-sleeping"


def test_an_invoked_function_over_its_rate(control: Control) -> None:
    found = [control.run("invokes", target="rated", timeout=60)["output"] for _ in range(2)]
    assert found[0] == {"data": "rated"}
    assert "invoked function is rate limited" in found[1]["error"]


def test_an_invoked_function_that_is_paused(control: Control) -> None:
    control.pause("slow", "skip")
    found = control.run("invokes", target="slow", timeout=1)["output"]
    control.resume("slow")
    assert "Timed out waiting for invoked function" in found["error"]


CANCELLED = ["inngest/function.cancelled", "inngest/function.finished"]


@pytest.mark.parametrize("function", ["sleeping", "waiting"])
def test_event_cancels_the_matching_runs(control: Control, function: str) -> None:
    stopped, others = control.send(function, key=1), control.send(function, key=2)

    def under_way() -> bool:
        found = control.api.runs(stopped) + control.api.runs(others)
        queued = [[job["kind"] for job in control.queued(run["run_id"])] for run in found]
        return len(queued) == 2 and all(kinds in (["sleep"], ["pause"]) for kinds in queued)

    wait_until(under_way, 20, "both runs to rest")
    control.send("stop", key=1, really=False)
    control.send("stop", key=1, really=True)
    run = control.api.run(stopped)
    assert run["status"] == "Cancelled"
    assert control.names(run["run_id"]) == CANCELLED
    assert control.api.runs(others)[0]["status"] == "Running"
    control.send("stop", key=2, really=True)
    assert control.api.run(others)["status"] == "Cancelled"


def test_run_cancelled_during_a_call_stays_cancelled(control: Control) -> None:
    control.held.clear()
    control.go.clear()
    sent = control.send("calling", key=3)
    assert control.held.wait(20)
    control.send("stop", key=3, really=True)
    run = control.api.run(sent)
    assert run["status"] == "Cancelled"
    control.go.set()  # the step ends, and the app answers
    later = control.run("infer_fails")  # a whole run's time for the late answer to come in
    assert later["status"] == "Completed"
    assert control.api.run(sent)["status"] == "Cancelled"
    # the TypeScript SDK sends checkpoints, and continues until its request is over
    assert control.notes(run["run_id"]).count("called") == 1
    assert control.names(run["run_id"]) == CANCELLED


def test_match_works_as_a_condition(control: Control) -> None:
    if control.name != "ts-control":
        pytest.skip("only the TypeScript SDK has match")
    sent = control.send("matched", key="k")
    wait_until(lambda: control.api.runs(sent)[0]["status"] == "Running", 20, "the run to start")
    control.send("stop", key="other")
    control.send("stop", key="k")
    assert control.api.run(sent)["status"] == "Cancelled"


@pytest.mark.parametrize(
    ("function", "waiting", "ran"), [("naps", ("sleep", 0), [0]), ("flaky", ("start", 1), [0, 1])]
)
def test_a_paused_function_waits_until_it_is_resumed(
    control: Control, function: str, waiting: tuple[str, int], ran: list[int]
) -> None:
    control.held.clear()
    control.go.clear()
    first = control.send(function)
    assert control.held.wait(20)
    control.pause(function, "hold")
    control.go.set()  # its answer is accepted: the run sleeps, or its step is to be retried
    run_id = control.api.runs(first)[0]["run_id"]

    def held() -> bool:
        jobs = control.queued(run_id)
        return [job["Raw"]["state"] for job in jobs] == ["held"]

    wait_until(held, 20, "what was due to be held")
    [job] = control.queued(run_id)
    assert (job["kind"], job["attempt"]) == waiting
    second = control.send(function)
    control.pause(function, "skip")
    assert control.run(function)["status"] == "Skipped"
    requests_before = control.notes(run_id).count("request")
    assert control.run("slow")["status"] == "Cancelled"  # two seconds in which nothing else moves
    assert control.notes(run_id).count("request") == requests_before == 1
    [other] = control.api.runs(second)
    assert (other["status"], control.lines(other["run_id"])) == ("Scheduled", [])
    control.resume(function)
    for event_id in (first, second):
        run = control.api.run(event_id)
        assert run["status"] == "Completed", run
        bodies = [line for line in control.lines(run["run_id"]) if line["step"] == "after"]
        assert [line["attempt"] for line in bodies] == ran
    assert control.run(function)["status"] == "Completed"
