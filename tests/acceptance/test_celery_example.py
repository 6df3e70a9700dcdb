"""The example of `make dev-celery`: its parts start together, and its tasks and canvas run."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.celery_shop import Client
from tests.processes import LOOPBACK, ROOT, Process, free_port, wait_until


class Example(Process):
    """`python examples/celery-shop/run.py` on a free port, with a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        env = {"INNGEST_PORT": str(self.port), "XDG_STATE_HOME": str(folder / "state")}
        script = ROOT / "examples" / "celery-shop" / "run.py"
        super().__init__([sys.executable, str(script)], folder / "example.log", env)

    @property
    def broker(self) -> str | None:
        """The broker that its instructions name; None before they are printed."""
        found = re.search(r"SHOP_BROKER=(\S+)", self.log.read_text())
        return None if found is None else found[1]

    @property
    def url(self) -> str:
        """The server."""
        return f"http://{LOOPBACK}:{self.port}"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    """The example, stopped as by Ctrl-C at the end: its parts are in sessions of their own."""
    with Example(tmp_path_factory.mktemp("example")) as example:
        try:
            yield example.start().wait_ready(lambda: example.broker is not None)
        finally:
            os.kill(example.pid, signal.SIGINT)
            wait_until(lambda: not example.running, 60, "the example stopped")
    assert example.returncode == 0, example.log_tail()


def test_event_starts_its_task(example: Example) -> None:
    client = Client(example.url)
    client.send("shop/order.placed", order="A-1", total=5)
    path = "/api/v1/runs?limit=1&function=shop-shop.charge"
    [run] = wait_until(lambda: client.get(path), 30, "the run")
    assert client.output(run["id"]) == {"order": "A-1", "paid": 5}


def test_event_starts_its_workflow(example: Example) -> None:
    client = Client(example.url)
    client.send("shop/order.paid", order="A-2", items=["mug"], address="Ann")
    path = "/api/v1/runs?limit=1&function=shop-fulfil"
    [run] = wait_until(lambda: client.get(path), 30, "the run")
    assert client.output(run["id"]) == "label-1 is on its way to Ann"


def test_canvas_runs_from_its_own_code(example: Example) -> None:
    env = {"INNGEST_BASE_URL": example.url, "SHOP_BROKER": example.broker or ""}
    script = ROOT / "examples" / "celery-shop" / "order.py"
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=90,
        env={**env, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert "label-3 is on its way to Ann" in done.stdout, done.stderr
