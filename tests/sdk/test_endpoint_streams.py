"""Streams of durable endpoints, as a browser follows them: in the caller's request and after it."""

import io
import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.processes import LOOPBACK, Server, wait_until

from . import node_runtime
from .app_process import SdkApp


@pytest.fixture(scope="module")
def app(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SdkApp]:
    folder = tmp_path_factory.mktemp("streams")
    with SdkApp("ts-v4-endpoint", server.url, folder).start() as app:
        yield app


class Followed:
    """What the SDK's client was told of a call."""

    def __init__(self, app: SdkApp, path: str) -> None:
        script, folder = node_runtime.HERE / "follow.mjs", node_runtime.installed("v4")
        url = f"http://{LOOPBACK}:{app.port}{path}"
        done = subprocess.run(
            [str(node_runtime.NODE), str(script), str(folder), url],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{done.stderr}\n{app.log_tail()}"
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in io.StringIO(done.stdout)]

    @property
    def data(self) -> list[Any]:
        return [line["data"] for line in self.lines if line["what"] == "data"]

    @property
    def answer(self) -> tuple[int, Any]:
        last = self.lines[-1]
        assert last["what"] == "answer", self.lines
        return last["status"], json.loads(last["body"])


def unfinished(server: Server, path: str) -> list[str]:
    """The ids of an endpoint's runs that have not ended."""
    found = requests.get(f"{server.url}/v2/runs", params={"limit": 100}, timeout=10).json()["data"]
    return [
        run["id"] for run in found if path in run["function"]["name"] and not run.get("endedAt")
    ]


@pytest.mark.parametrize("times", [0, 2])
def test_stream_goes_on_in_the_background(app: SdkApp, times: int) -> None:
    """With no sleep all of it comes from the app itself."""
    before = len(app.effects())
    found = Followed(app, f"/story?times={times}")
    assert found.data == ["once", "upon ", "a ", "time"], found.lines
    assert found.answer == (200, {"begun": 1, "told": "upon a time"})
    assert len({line["runId"] for line in found.lines if line["what"] == "run"}) == 1
    assert [line["step"] for line in app.effects()[before:]] == ["begin", "tell"]


def test_failure_in_the_background(app: SdkApp) -> None:
    found = Followed(app, "/tragedy")
    assert found.data == ["alas"]
    assert found.answer == (500, "no happy end")


def test_cancelled_run_ends_the_stream(server: Server, app: SdkApp) -> None:
    """The app never gets to write the answer."""
    with ThreadPoolExecutor(1) as pool:
        followed = pool.submit(Followed, app, "/endless")
        wait_until(lambda: unfinished(server, "/endless"), 20, "the run sleeps")
        [run_id] = unfinished(server, "/endless")
        assert requests.delete(f"{server.url}/v1/runs/{run_id}", timeout=10).ok
        found = followed.result(30)
    assert found.data == ["once"]
    assert found.answer == (500, "the run was cancelled")


def test_who_comes_late_gets_the_answer(server: Server, app: SdkApp) -> None:
    url = f"http://{LOOPBACK}:{app.port}/slow?name=you"
    with requests.get(url, headers={"Accept": "text/event-stream"}, stream=True, timeout=30) as own:
        told = own.text
    [redirect] = [line for line in told.split("\n") if '"url"' in line]
    wait_until(lambda: not unfinished(server, "/slow"), 20, "the run has ended")
    url = json.loads(redirect.removeprefix("data: "))["url"]
    late = requests.get(url, timeout=30)
    assert late.headers["Access-Control-Allow-Origin"] == "*"
    *_, event, data = late.text.strip().split("\n")
    assert event == "event: inngest.response"
    assert json.loads(data.removeprefix("data: ")) == {
        "status": "succeeded",
        "response": {
            "body": '{"name":"you","sum":6}',
            "statusCode": 200,
            "headers": {"content-type": "application/json"},
        },
    }
