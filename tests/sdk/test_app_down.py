"""An app that is down: every page and API says so, since when and why, until it is back."""

from pathlib import Path
from typing import Any

import requests

from tests.processes import Server, wait_until
from tests.sdk.app_process import SdkApp
from tests.sdk.client import Api

KIND = "python-flask"


def test_an_app_that_is_down_is_told_everywhere_until_it_is_back(tmp_path: Path) -> None:
    args = ("--db", str(tmp_path / "s.db"), "--no-discovery", "--no-poll", "--retry-interval", "60")
    with Server("dev", *args, log=tmp_path / "server.log").start() as server:
        api = Api(server.url)
        with SdkApp(KIND, server.url, tmp_path).start() as app:
            assert app.register().status_code == 200
            assert api.run(api.send(f"{KIND}/noop"))["status"] == "Completed"
            assert shown(api)["down_since"] is None

            app.kill9()
            event = api.send(f"{KIND}/noop")
            wait_until(lambda: shown(api)["down_since"], 30, "the app is known to be down")
            cause = f"http://localhost:{app.port}/api/inngest: connection refused"
            assert shown(api)["down_cause"].startswith(cause)
            for path in ("/", "/apps"):
                assert "connection refused" in requests.get(server.url + path, timeout=10).text
            assert "in sync" not in requests.get(f"{server.url}/apps", timeout=10).text
            found = api.gql("{ apps { connected downSince downCause } }")
            assert (found[0]["connected"], found[0]["downCause"].startswith(cause)) == (False, True)
            assert "app_down" in waits(server, api, event)
            run_id = api.runs(event)[0]["run_id"]
            assert f"Unable to reach SDK URL: {cause}" in told(server, run_id)

            app.start()
            assert api.run(api.send(f"{KIND}/noop"))["status"] == "Completed"
            wait_until(lambda: shown(api)["down_since"] is None, 30, "the app is known to be back")
            assert "is down since" not in requests.get(server.url, timeout=10).text


def shown(api: Api) -> dict[str, Any]:
    """The app, as the API shows it."""
    return next(app for app in api.apps() if app["name"] == KIND)


def waits(server: Server, api: Api, event: str) -> list[str]:
    """The kinds of reasons why the event's run waits."""
    [run] = api.runs(event)
    reply = requests.get(f"{server.url}/v1/runs/{run['run_id']}/why", timeout=10)
    return [reason["kind"] for reason in reply.json()["data"]["reasons"]]


def told(server: Server, run_id: str) -> str:
    """What the run's page says."""
    return requests.get(f"{server.url}/runs/{run_id}", timeout=10).text
