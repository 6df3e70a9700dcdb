"""The demo of `make dev`: both parts start together, its function runs, Ctrl-C leaves nothing."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.processes import LOOPBACK, ROOT, Process, free_port, wait_until

from .client import Api


class Demo(Process):
    """`python examples/quickstart/run.py` on free ports, with a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        env = {
            "INNGEST_PORT": str(self.port),
            "PORT": str(free_port()),
            "XDG_STATE_HOME": str(folder / "state"),
        }
        script = ROOT / "examples" / "quickstart" / "run.py"
        super().__init__([sys.executable, str(script)], folder / "demo.log", env)

    @property
    def says_what_to_do(self) -> bool:
        """Whether it has printed its instructions."""
        return "curl -X POST" in self.log_tail()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with Demo(tmp_path_factory.mktemp("demo")) as demo:
        demo.start().wait_ready(lambda: demo.says_what_to_do)
        yield demo


def test_the_demo_function_runs(demo: Demo) -> None:
    api = Api(f"http://{LOOPBACK}:{demo.port}")
    # the instructions must work as soon as they are printed
    assert len(api.functions("quickstart")) == 1
    run = api.run(api.send("shop/order.placed", {"order": "A-1"}))
    assert run["status"] == "Completed", demo.log_tail()
    assert run["output"] == {
        "order": "A-1",
        "reserved": True,
        "parcel": "parcel for A-1",
        "label": "label for A-1",
        "payment": "paid",
    }


def test_interrupt_leaves_no_process(demo: Demo) -> None:
    family = psutil.Process(demo.pid).children(recursive=True)
    assert len(family) >= 2
    os.kill(demo.pid, signal.SIGINT)
    wait_until(lambda: not demo.running, 40, "the demo stopped")
    assert demo.returncode == 0
    assert not any(child.is_running() for child in family), demo.log_tail()
