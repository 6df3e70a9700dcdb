"""A process that waits for its database can be stopped."""

import sys
from pathlib import Path

import pytest

from tests.processes import Process, Server, Tool, free_port, wait_until

AWAY = ("--database-url", "postgresql://u:p@127.0.0.1:1/x")
KEYS = ("--event-key", "k", "--signing-key", "abcdef")
BROKER = ("--redis-url", "redis://127.0.0.1:1/0")


@pytest.mark.parametrize("command", ["start", "api", "worker"])
def test_process_that_waits_for_its_database_can_be_stopped(command: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    broker = () if command == "start" else BROKER
    args = (command, *KEYS, *AWAY, *broker)
    made: Process = Tool(*args, log=log) if command == "worker" else Server(*args, log=log)
    with made:
        Process.start(made)
        made.wait_ready(lambda: "database.wait" in made.log_tail())
        assert "Connection refused" in made.log_tail()
        assert made.terminate(timeout=20) in (0, -15)


BROKEN = """
import sys
from gevent import monkey
monkey.patch_all()
from inngest_py import __main__ as command
from inngest_py.tasks.kombu.gathering import GatherEvents

def start(step, consumer):
    raise RuntimeError("broken on purpose")

GatherEvents.start = start
command.main()
"""


def test_server_exits_when_its_worker_fails(tmp_path: Path) -> None:
    file, port = tmp_path / "x.db", str(free_port())
    args = ("start", "--dev", "--database-url", f"sqlite:///{file}", "--port", port)
    made = Process([sys.executable, "-c", BROKEN, *args], tmp_path / "log")
    with made:
        made.start()
        wait_until(lambda: not made.running, 30, "the end of the server")
        assert made.returncode == 1
        assert "server.worker_ended" in made.log_tail()
