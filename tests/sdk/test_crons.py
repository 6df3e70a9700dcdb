"""Cron functions of real SDKs, all at the next full minute."""

from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from tests.processes import Server, wait_until

from .app_process import SdkApp
from .client import Api

KINDS = ("python-cron", "ts-v4-cron", "ts-v3-cron")


def cron_runs(server: Server) -> list[dict[str, Any]]:
    listed = requests.get(f"{server.url}/api/v1/runs", params={"limit": 100}, timeout=10)
    return [run for run in listed.json()["data"] if run["cron"] is not None]


def test_a_function_with_a_cron_and_an_event(tmp_path: Path) -> None:
    """Slow: the next full minute is up to a minute away."""
    args = ("--db", str(tmp_path / "x.db"), "--no-discovery", "--no-poll")
    with ExitStack() as stack:
        server = stack.enter_context(Server("dev", *args, log=tmp_path / "server.log")).start()
        apps = [stack.enter_context(SdkApp(kind, server.url, tmp_path)).start() for kind in KINDS]
        for app in apps:
            assert app.register().status_code == 200, app.log_tail()
        api = Api(server.url)
        for app in apps:
            sent = api.run(api.send(f"{app.kind}/now"))
            assert (sent["status"], sent["output"]) == ("Completed", f"{app.kind}/now")

        def all_ran() -> bool:
            ended = {run["app"] for run in cron_runs(server) if run["status"] == "completed"}
            return ended == set(KINDS)

        wait_until(all_ran, 75, "every app's tick to run")
        for run in cron_runs(server):
            shown = requests.get(f"{server.url}/v1/runs/{run['id']}", timeout=10).json()["data"]
            assert shown["cron"] == "* * * * *"
            if run["status"] != "completed":
                continue  # a tick of the next minute
            assert shown["output"] == "inngest/scheduled.timer"
            [noted] = next(app for app in apps if app.kind == run["app"]).effects(run["id"])
            event = noted["event"]
            assert event["data"]["cron"] == "* * * * *"
            tick = datetime.fromisoformat(event["id"])
            assert event["data"]["scheduledAt"] == event["id"]
            late = datetime.fromisoformat(run["queued_at"]) - tick
            assert timedelta(0) <= late < timedelta(seconds=1)
