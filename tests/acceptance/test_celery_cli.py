"""`inngest-py celery` against a server: connect, list and remove an app whose broker is away."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Server, wait_until

BROKER = "redis://:hidden-word@127.0.0.1:1/0"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    env = {"INNGEST_DEV": "1", "DATABASE_URL": f"sqlite:///{tmp_path}/server.db"}
    with Server("dev", log=tmp_path / "server.log", env=env) as made:
        yield made.start()


def _celery(server: Server, *args: str, given: str = "") -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "inngest_py", "celery", *args, "--url", server.url]
    return subprocess.run(
        argv, input=given, capture_output=True, text=True, timeout=60, check=False
    )


def test_broker_is_read_from_the_standard_input(server: Server, tmp_path: Path) -> None:
    added = _celery(server, "add", "shop", "--broker", "-", given=f"{BROKER}\n")
    assert added.returncode == 0, added.stderr
    wait_until(lambda: "broker_away" in _celery(server, "list").stdout, 60, "the error")
    listed = _celery(server, "list").stdout
    assert "shop  redis://127.0.0.1:1/0  queue celery" in listed
    assert "hidden-word" not in listed + (tmp_path / "server.log").read_text()
    assert _celery(server, "remove", "shop").returncode == 0
    assert _celery(server, "list").stdout == ""


def test_name_with_a_slash_is_refused(server: Server) -> None:
    refused = _celery(server, "add", "a/b", "--broker", BROKER)
    assert refused.returncode == 1
    assert refused.stderr == "Error: 'a/b' is no name of a Celery app: it holds a slash\n"
