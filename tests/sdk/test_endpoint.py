"""The TypeScript SDK's durable endpoints: in the caller's request, then in the background."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.processes import LOOPBACK, Server, answers, wait_until

from .app_process import SdkApp
from .test_production import ROTATION, Production


@pytest.fixture
def app(server: Server, tmp_path: Any) -> Iterator[SdkApp]:
    """An app of durable endpoints; it is never registered."""
    with SdkApp("ts-v4-endpoint", server.url, tmp_path).start() as app:
        yield app


def _call(app: SdkApp, path: str, method: str = "GET", **options: Any) -> requests.Response:
    url = f"http://{LOOPBACK}:{app.port}{path}"
    return requests.request(method, url, timeout=60, **options)


def _runs(server: Server, path: str) -> list[dict[str, Any]]:
    found = requests.get(f"{server.url}/v2/runs", params={"limit": 100}, timeout=10)
    if found.status_code == 404:
        return []
    return [run for run in found.json().get("data", []) if path in run["function"]["name"]]


def _steps(app: SdkApp) -> list[str]:
    return sorted(line["step"] for line in app.effects())


def test_steps_run_in_the_callers_request(server: Server, app: SdkApp) -> None:
    answer = _call(app, "/quick?name=you")
    assert answer.json() == {"one": "hello you", "two": 9}, answer.text
    assert answer.history == []
    assert _steps(app) == ["one", "two"]


def test_run_continues_in_the_background_after_a_sleep(server: Server, app: SdkApp) -> None:
    answer = _call(app, "/slow?name=you")
    [redirect] = answer.history
    assert (redirect.status_code, answer.status_code) == (302, 200)
    # the SDK wraps the body of what an endpoint answers in the background once more
    assert answer.json() == '{"name":"you","sum":6}', app.log_tail()
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert _steps(app) == ["a", "b", "before"]


def test_failed_step_is_retried_in_the_background(server: Server, app: SdkApp) -> None:
    answer = _call(app, "/flaky")
    assert answer.json() == '{"value":2}', f"{answer.text}\n{app.log_tail()}"
    assert [line["value"] for line in app.effects()] == [1, 2]


def test_method_and_body_are_those_of_the_caller(server: Server, app: SdkApp) -> None:
    answer = _call(app, "/posted?x=1", "POST", json={"b": 1, "a": [1.0]})
    assert answer.json() == "POST", f"{answer.text}\n{app.log_tail()}"


def test_an_endpoint_without_steps(server: Server, app: SdkApp) -> None:
    assert _call(app, "/plain").json() == {"plain": True}


def test_app_dies_during_a_background_call(server: Server, app: SdkApp) -> None:
    answer = _call(app, "/slow?name=me", allow_redirects=False)
    assert answer.status_code == 302
    app.kill9()
    app.start()
    found = requests.get(answer.headers["Location"], timeout=60)
    assert found.json() == '{"name":"me","sum":6}', f"{found.text}\n{app.log_tail()}"
    wait_until(lambda: _steps(app) == ["a", "b", "before"], 5, "every step ran once")


@pytest.mark.parametrize("rotation", ROTATION)
def test_in_production(rotation: str, tmp_path: Any) -> None:
    keys = ROTATION[rotation]
    made = Production("ts-v4-endpoint", tmp_path, *keys)
    with made.server, made.app:
        made.start_server()
        made.start_app()
        wait_until(lambda: answers(f"http://{LOOPBACK}:{made.app.port}/plain"), 20, "the app is up")
        answer = _call(made.app, "/slow?name=you")
        assert answer.json() == '{"name":"you","sum":6}', f"{answer.text}\n{made.told()}"
        # SDKs check the signature of JSON in its canonical form, whatever was sent
        body = '{ "b": 1.0, "a": "é" }'.encode()
        answer = _call(made.app, "/posted", "POST", data=body)
        assert answer.json() == "POST", f"{answer.text}\n{made.told()}"


def test_server_dies_while_a_run_is_in_the_background(server: Server, app: SdkApp) -> None:
    answer = _call(app, "/slow?name=us", allow_redirects=False)
    assert answer.status_code == 302
    server.kill9()
    server.start()
    found = requests.get(answer.headers["Location"], timeout=90)
    assert found.json() == '{"name":"us","sum":6}', f"{found.text}\n{app.log_tail()}"
