"""The API in another HTTP server: its settings, and what it answers before it has begun."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from inngest_py.config import Settings
from inngest_py.serving.hosted import Hosted

BROKER = {"REDIS_URL": "redis://localhost"}


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"INNGEST_DEV": "1"}, "set REDIS_URL or INNGEST_BROKER_URL"),
        (BROKER, "openssl rand -hex 32"),
        ({"INNGEST_DEV": "1", "INNGEST_CLOCK": "virtual", **BROKER}, "leave INNGEST_CLOCK"),
        ({"INNGEST_DEV": "1", "INNGEST_CONNECT_PORT": "9", **BROKER}, "INNGEST_CONNECT_PORT out"),
    ],
)
def test_mistakes_in_settings_are_told(env: dict[str, str], message: str) -> None:
    command = [sys.executable, "-c", "import inngest_py.wsgi"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("INNGEST_")}
    done = subprocess.run(
        command, env=own | env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 4  # gunicorn does not try again
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def ask(app: Hosted, path: str) -> tuple[str, str]:
    """Answer a request; return status and message."""
    statuses: list[str] = []

    def start_response(status: str, *_: object) -> None:
        statuses.append(status)

    body = b"".join(app({"PATH_INFO": path}, start_response))  # type: ignore[arg-type]
    return statuses[0], str(json.loads(body)["message"])


def test_what_it_cannot_begin_with_is_told_to_callers(tmp_path: Path) -> None:
    hook = threading.excepthook
    settings = Settings(dev=True, database_url=f"sqlite:///{tmp_path}", broker_url="redis://x")
    app = Hosted(settings)
    try:
        status, why = ask(app, "/e/key")
        assert status == "503 Service Unavailable"
        assert why == (
            "the server could not begin: the database"
            f" {tmp_path} cannot be written: Is a directory; use another --db or --database-url"
        )
        assert ask(app, "/health/ready") == (status, why)
        assert ask(app, "/health/live") == ("200 OK", "OK")
    finally:
        app.stop()
        threading.excepthook = hook
