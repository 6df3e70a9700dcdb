"""`inngest_py.sdk.steps` with the Python SDK: Flask and blocking code, FastAPI and async code."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.processes import Server, wait_until
from tests.provider import Answer, Provider, Received

from .app_process import SdkApp
from .client import Api

pytestmark = pytest.mark.parametrize(
    ("server", "app"),
    [("embedded", "flask"), ("several", "fastapi")],
    indirect=True,
    scope="package",
)


@pytest.fixture(scope="package")
def app(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SdkApp]:
    kind = f"python-steps-{request.param}"
    with SdkApp(kind, server.url, tmp_path_factory.mktemp(kind)).start() as app:
        assert app.register().status_code == 200, app.log_tail()
        yield app


def _echo(got: Received) -> Answer:
    return Answer(404, b"nothing here") if got.method == "GET" else Answer(200, got.body)


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with Provider(_echo) as provider:
        yield provider.url


def _output(app: SdkApp, api: Api, event: str) -> Any:
    run = api.run(event)
    assert run["status"] == "Completed", f"{run}\n{app.log_tail()}"
    return run["output"]


def _send_signal(api: Api, event: str, data: Any) -> None:
    """Send it as soon as the event's run waits for it."""

    def sent() -> bool:
        for run in api.runs(event):
            body = {"signal": f"go/{run['run_id']}", "data": data}
            return requests.post(f"{api.url}/v1/signals", json=body, timeout=10).ok
        return False

    wait_until(sent, 20, "the signal was taken")


def test_sleep_and_wait_for_signal(server: Server, app: SdkApp) -> None:
    api = Api(server.url)
    slept, signalled = (api.send(f"{app.kind}/{name}") for name in ("slept", "signalled"))
    _send_signal(api, signalled, {"by": "ann"})
    assert _output(app, api, signalled) == [[True, {"by": "ann"}], None]
    assert _output(app, api, slept) == "slept"


def test_wait_that_looks_back(server: Server, app: SdkApp) -> None:
    api = Api(server.url)
    assert _output(app, api, api.send(f"{app.kind}/looked_back")) == [[1, 2], None]


def test_fetch(server: Server, app: SdkApp, site: str) -> None:
    api = Api(server.url)
    found = _output(app, api, api.send(f"{app.kind}/fetched", {"url": site}))
    assert found[:4] == [200, {"n": [1]}, 404, False]
    assert found[4] == f"HTTP 404 from {site}/nothing: nothing here"


def test_side_by_side(server: Server, app: SdkApp, site: str) -> None:
    api = Api(server.url)
    event = api.send(f"{app.kind}/side_by_side", {"url": site})
    _send_signal(api, event, 1)
    assert _output(app, api, event) == [1, "x", None]


def test_defer_and_metadata(server: Server, app: SdkApp) -> None:
    api = Api(server.url)
    run = api.run(api.send(f"{app.kind}/deferring"))
    assert run["status"] == "Completed", f"{run}\n{app.log_tail()}"
    lines = wait_until(
        lambda: len(found := app.effects(run["run_id"])) > 1 and found, 20, "both have started"
    )
    assert sorted(line["step"] for line in lines) == ["again", "kept"]
    url = f"{server.url}/v2/runs/{run['run_id']}/trace"
    root = requests.get(url, timeout=10).json()["data"]["rootSpan"]
    assert _notes(root) == {"userland.counts": {"rows": 9}}
    [own] = [span for span in root["children"] if span["name"] == "own"]
    assert _notes(own) == {"userland.default": {"of": "step"}}


def _notes(span: dict[str, Any]) -> dict[str, Any]:
    return {note["kind"]: note["values"] for note in span["metadata"]}


def test_bad_arguments_are_named(server: Server, app: SdkApp) -> None:
    api = Api(server.url)
    told = {
        json.dumps(given): text
        for *given, text in [
            ("sleep", [""], {"duration": "1s"}, "step_id: give a name, not empty text"),
            ("sleep", ["a"], {"duration": 3}, "duration: give a timedelta, or text such as"),
            ("sleep", ["a"], {"duration": "3 moons"}, "'moons' in '3 moons' is no unit"),
            ("wait_for_signal", ["a"], {"signal": "", "timeout": "1s"}, "signal: give a name"),
            ("fetch", ["a", "/here"], {}, "url: give an absolute URL"),
        ]
    }
    sent = {
        given: api.send(
            f"{app.kind}/bad",
            dict(zip(("helper", "args", "kwargs"), json.loads(given), strict=True)),
        )
        for given in told
    }
    for given, event in sent.items():
        run = api.run(event)
        assert run["status"] == "Failed"
        assert told[given] in run["output"]["message"], run
