"""Each cron tick makes one run, although the server is killed repeatedly around a full minute."""

import random
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from tests.acceptance.full_size import FULL
from tests.acceptance.raw_app import RawApp, runs, show
from tests.processes import Server, free_port, wait_until

FUNCTIONS = 20
KILLS = 5 if FULL else 3
SOON = timedelta(seconds=8)  # the functions are registered before


def next_tick(server: Server, app: RawApp) -> datetime:
    """Register functions whose schedules have one tick a day, and return that tick, which comes."""
    while True:
        tick = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        if tick - datetime.now(UTC) < SOON:
            tick += timedelta(minutes=1)
        _register(server, app, tick)
        if datetime.now(UTC) < tick - timedelta(seconds=1):
            return tick


def _register(server: Server, app: RawApp, tick: datetime) -> None:
    for number in range(FUNCTIONS):
        body = {
            "app": "clock",
            "id": f"clock-{number}",
            "name": str(number),
            "url": f"{app.url}?fnId=raw-seq5&stepId=step",
            "triggers": [{"cron": f"{tick.minute} {tick.hour} * * *"}],
        }
        reply = requests.post(f"{server.url}/api/v1/functions", json=body, timeout=10)
        assert reply.ok, reply.text


def wait_for(tick: datetime) -> None:
    """Wait until just before the tick; not at all when it is over."""
    left = (tick - datetime.now(UTC)).total_seconds() - 0.3
    threading.Event().wait(max(0.0, left))


def ticks(server: Server) -> Counter[tuple[str, str]]:
    """Count the runs of each function and tick; all of them must have completed."""
    own = [run for run in runs(server.url) if run["function"].startswith("clock-")]
    shown: list[Any] = [show(server.url, run["id"]) for run in own]
    assert {run["status"] for run in shown} <= {"completed"}, shown
    return Counter((run["function"], run["event"]["id"]) for run in shown)


def all_ran_once(server: Server, tick: datetime) -> None:
    """Wait until every function has run for the tick, once each and for no other."""
    url = f"{server.url}/api/v1/runs"

    def ended() -> bool:
        query: dict[str, Any] = {"status": ["queued", "running"], "limit": 1}
        try:
            left = requests.get(url, params=query, timeout=10)
        except requests.RequestException:
            return False
        return left.ok and not left.json()["data"] and len(ticks(server)) >= FUNCTIONS

    wait_until(ended, 90, "the runs of the tick to end")
    found = ticks(server)
    assert set(found) == {
        (f"clock-{number}", f"{tick:%Y-%m-%dT%H:%M:%SZ}") for number in range(FUNCTIONS)
    }
    assert set(found.values()) == {1}


def test_cron_ticks_survive_kills(tmp_path: Path) -> None:
    """Slow: a tick is up to 68 s away, and a server starts again after each kill."""
    chance = random.Random(20260104)
    port = free_port()
    app = RawApp(tmp_path, f"http://127.0.0.1:{port}")
    args = ("--db", str(tmp_path / "x.db"), "--no-discovery", "--no-poll")
    server = Server("dev", *args, log=tmp_path / "server.log", port=port)
    with app.up(), server.start():
        tick = next_tick(server, app)
        wait_for(tick)
        for _ in range(KILLS):
            threading.Event().wait(chance.uniform(0.05, 0.4))
            server.kill9()
            server.start()
        all_ran_once(server, tick)
        assert Counter(app_run.step for app_run in app.effects())["s4"] >= FUNCTIONS
