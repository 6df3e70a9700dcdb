"""The TypeScript SDK's `defer`, and the metadata that it sends along with steps."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.processes import Server, wait_until

from .app_process import SdkApp
from .client import Api


@pytest.fixture(params=["ts-v4-defers", "ts-v4-defers-classic"])
def app(request: pytest.FixtureRequest, server: Server, tmp_path: Any) -> Iterator[SdkApp]:
    """A registered app, with and without checkpoints."""
    with SdkApp(request.param, server.url, tmp_path).start() as app:
        assert app.register().status_code == 200
        yield app


@pytest.mark.parametrize(
    ("fails", "status", "expected"),
    [(False, "Completed", {"kept", "last"}), (True, "Failed", {"kept"})],
)
def test_deferred_functions(
    server: Server, app: SdkApp, fails: bool, status: str, expected: set[str]
) -> None:
    api = Api(server.url)
    run = api.run(api.send(f"{app.kind}/parent", {"fails": fails}))
    assert run["status"] == status, app.log_tail()

    def deferred() -> list[dict[str, Any]]:
        return [line for line in app.effects(run["run_id"]) if "parent" in line]

    wait_until(lambda: len(deferred()) >= len(expected), 20, "the deferred functions ran")
    # nothing else is under way: the server has started all that it will
    other = api.run(api.send(f"{app.kind}/parent", {"fails": False}))
    assert other["status"] == "Completed"
    lines = deferred()
    assert sorted(line["step"] for line in lines) == sorted(expected)
    assert {line["parent"] for line in lines} == {f"{app.kind}-parent"}


def test_metadata_of_a_step(server: Server, app: SdkApp) -> None:
    api = Api(server.url)
    run = api.run(api.send(f"{app.kind}/parent", {"fails": False}))
    url = f"{server.url}/v2/runs/{run['run_id']}/trace"
    spans = requests.get(url, timeout=10).json()["data"]["rootSpan"]["children"]
    [first] = [span for span in spans if span["name"] == "first"]
    [found] = first["metadata"]
    assert (found["kind"], found["values"]) == ("userland.default", {"rows": 7})


def test_scores_and_metadata_of_a_run(server: Server, app: SdkApp) -> None:
    api = Api(server.url)
    run = api.run(api.send(f"{app.kind}/scored"))
    assert run["status"] == "Completed", f"{run}\n{app.log_tail()}"
    url = f"{server.url}/v2/runs/{run['run_id']}"
    given = {"name": "by hand", "value": 1, "stepId": "first"}
    assert requests.post(f"{url}/scores", json={"scores": [given]}, timeout=10).ok

    def root() -> dict[str, Any]:
        found: dict[str, Any] = requests.get(f"{url}/trace", timeout=10).json()["data"]["rootSpan"]
        return found

    # the scorer is a deferred function: it begins when the run has ended
    wait_until(lambda: "deferred" in _notes(root())["inngest.score"], 20, "the scorer ran")
    assert _notes(root()) == {
        "inngest.score": {"quality": {"value": 0.5}, "deferred": {"value": 0.75}},
        "userland.progress": {"phase": 2},
        "userland.own": {"by": "step"},
    }
    [first] = [span for span in root()["children"] if span["name"] == "first"]
    scores = {"inside": {"value": True}, "late": {"value": 2}, "by hand": {"value": 1}}
    assert _notes(first) == {"inngest.score": scores}


def _notes(span: dict[str, Any]) -> dict[str, Any]:
    return {note["kind"]: note["values"] for note in span["metadata"]}
