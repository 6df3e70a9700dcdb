"""`start` with keys and an SDK in production mode: every call is signed and checked."""

import sys
from pathlib import Path
from typing import Any

import requests

from inngest_py.domain import signing
from tests.processes import LOOPBACK, Process, Server, free_port, wait_until

SIGNING_KEY = "signkey-prod-12345678"
EVENT_KEY = "an-event-key"


def test_a_signed_app_syncs_in_band_and_runs(tmp_path: Path) -> None:
    port = free_port()
    serve_url = f"http://{LOOPBACK}:{port}/api/inngest"
    database = f"sqlite:///{tmp_path / 'x.db'}"
    keys = ("--signing-key", SIGNING_KEY, "--event-key", EVENT_KEY)
    args = ("--database-url", database, *keys, "-u", serve_url, "--poll-interval", "0.5")
    with Server("start", *args, log=tmp_path / "server.log") as server:
        server.start()
        env = {"SERVER": server.url, "SIGNING_KEY": SIGNING_KEY, "EVENT_KEY": EVENT_KEY}
        argv = [sys.executable, "-m", "tests.sdk.apps.production_app", str(port)]
        with Process(argv, log=tmp_path / "app.log", env={**env, "INNGEST_DEV": None}) as app:
            app.start()
            bearer = {"Authorization": f"Bearer {signing.bearer(SIGNING_KEY)}"}

            def get(path: str) -> Any:
                return requests.get(server.url + path, headers=bearer, timeout=10).json()["data"]

            wait_until(lambda: get("/api/v1/functions"), 20, "the app to sync in band")
            body = {"name": "production/go"}
            refused = requests.post(f"{server.url}/e/other", json=body, timeout=10)
            assert refused.status_code == 401
            sent = requests.post(f"{server.url}/e/{EVENT_KEY}", json=body, timeout=10).json()
            path = f"/v1/events/{sent['ids'][0]}/runs"
            wait_until(lambda: get(path)[0]["status"] == "Completed", 20, "the run to end")
            assert get(path)[0]["output"] == "paid"
            assert [e["name"] for e in get("/v1/events")] == ["production/paid", "production/go"]
        for path in ("/v1/events", "/api/v1/runs", "/v0/runs/x/actions", "/dev"):
            assert requests.get(server.url + path, timeout=10).status_code == 401
