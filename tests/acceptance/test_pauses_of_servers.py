"""A server that is paused for longer than its lease continues its calls in flight."""

import random
import time
from pathlib import Path

from tests.acceptance.raw_app import RawApp, all_completed, post, registered, seed
from tests.processes import Server, free_port, wait_until
from tests.raw_sdk import STEPS

RUNS = 10
LEASE = 1.0
TAKES = 3.0
PAUSE = 2.5


def test_paused_embedded_server_repeats_no_call(tmp_path: Path) -> None:
    port = free_port()
    app = RawApp(tmp_path, f"http://127.0.0.1:{port}")
    where = ("--db", str(tmp_path / "x.db"), "--no-discovery", "-u", app.url)
    env = {"INNGEST_LEASE_SECONDS": str(LEASE)}
    server = Server("dev", *where, log=tmp_path / "server.log", env=env, port=port)
    with app.up(), server.start():
        wait_until(lambda: registered(server.url), 20, "the app to be registered")
        sent = post(server.url, seed(random.Random(7)), RUNS, takes=TAKES)
        for step in range(5):
            under_way = RUNS * (step + 1)
            wait_until(lambda n=under_way: len(app.effects()) >= n, 60, "every run to be called")
            server.suspend()
            resumes_at = time.monotonic() + PAUSE
            wait_until(lambda at=resumes_at: time.monotonic() > at, 30, "the leases to lapse")
            server.resume()
        all_completed(server.url, sent)
        effects = [(effect.run, effect.step) for effect in app.effects()]
        assert len(effects) == len(set(effects)) == RUNS * STEPS
    assert "lease.lapsed" not in server.log.read_text()
