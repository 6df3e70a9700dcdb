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
    [("embedded", "flask"), ("several", "fastapi"), ("several", "flask-checkpoints")],
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


def _done(app: SdkApp, run: dict[str, Any]) -> list[str]:
    return [line["step"] for line in app.effects(run["run_id"])]


def test_map(server: Server, app: SdkApp) -> None:
    api = Api(server.url)
    items = [3, 1, 4, 1, 5, 9, 2, 6]
    bounded, all_at_once = (
        api.run(api.send(f"{app.kind}/mapped", {"items": items, "concurrency": most}))
        for most in (2, None)
    )
    for run in (bounded, all_at_once):
        assert run["status"] == "Completed", f"{run}\n{app.log_tail()}"
        assert run["output"] == [item * 2 for item in items]
        assert sorted(_done(app, run)) == sorted([*map(str, items), "after"])
    active = [line.get("active", 0) for line in app.effects(bounded["run_id"])]
    assert max(active) <= 2


def test_map_when_items_are_inserted(server: Server, app: SdkApp) -> None:
    api = Api(server.url)
    run = api.run(api.send(f"{app.kind}/inserted"))
    assert run["output"] == ["new!", "b!", "a!", "b!"], f"{run}\n{app.log_tail()}"
    assert sorted(_done(app, run)) == ["a", "b", "b", "new"]


def test_map_of_which_an_item_fails(server: Server, app: SdkApp) -> None:
    api = Api(server.url)
    run = api.run(api.send(f"{app.kind}/unmapped", {"items": 3}))
    assert (run["status"], run["output"]["message"]) == ("Failed", "one is wrong"), run
    assert sorted(_done(app, run)) == ["0", "1", "2"]
    run = api.run(api.send(f"{app.kind}/unmapped", {"items": 4}))
    told = 'step "work[3]": result.when is a set, which JSON has not'
    assert (run["status"], run["output"]["message"]) == ("Failed", told), run


def test_race(server: Server, app: SdkApp) -> None:
    api = Api(server.url)
    run = api.run(api.send(f"{app.kind}/raced"))
    assert run["output"] == ["quick", "then", "last"], f"{run}\n{app.log_tail()}"
    assert _done(app, run) == ["first", "then", "after", "last"]
    assert api.run(api.send(f"{app.kind}/lost"))["output"] == "lost"


_BOOKED = ["flight", "car", "hotel"]


_SAGAS: dict[str, tuple[str, list[str]]] = {
    "step": ("no room", [*_BOOKED, "hotel", "no car", "no flight"]),
    "final": ("no room ever", [*_BOOKED, "no car", "no flight"]),
    "code": ("'lost in code'", [*_BOOKED, "no hotel", "no car", "no flight"]),
    "undo": ("no room", [*_BOOKED, "hotel", "no car", "no car", "no flight"]),
    "undo for good": (
        'no room; undo step "no car" failed: the desk is closed',
        [*_BOOKED, "hotel", "no car", "no car", "no flight"],
    ),
}


def test_compensate(server: Server, app: SdkApp) -> None:
    api = Api(server.url)
    sent = {how: api.send(f"{app.kind}/booked", {"how": how}) for how in _SAGAS}
    for how, (message, did) in _SAGAS.items():
        run = api.run(sent[how])
        assert run["status"] == "Failed"
        assert run["output"]["message"] == message, f"{run}\n{app.log_tail()}"
        assert [step for step in _done(app, run) if step != "code"] == did


def test_compensate_steps_side_by_side(server: Server, app: SdkApp) -> None:
    api = Api(server.url)
    run = api.run(api.send(f"{app.kind}/charged"))
    assert (run["status"], run["output"]["message"]) == ("Failed", "no money"), run
    assert sorted(_done(app, run)) == ["card 1", "card 2", "refund"]


def test_nothing_is_undone_without_a_failure(server: Server, app: SdkApp) -> None:
    api = Api(server.url)
    run = api.run(api.send(f"{app.kind}/booked", {"how": "once"}))
    assert run["output"] == "booked"
    assert _done(app, run) == [*_BOOKED, "fee"]


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
