"""What waits for its database stops when it is told to, as at any other time."""

from pathlib import Path

import pytest

from tests.processes import Process, Server, Tool

AWAY = ("--database-url", "postgresql://u:p@127.0.0.1:1/x")
KEYS = ("--event-key", "k", "--signing-key", "abcdef")
BROKER = ("--redis-url", "redis://127.0.0.1:1/0")


@pytest.mark.parametrize("command", ["start", "api", "worker"])
def test_a_process_that_waits_for_its_database_stops(command: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    broker = () if command == "start" else BROKER
    args = (command, *KEYS, *AWAY, *broker)
    made: Process = Tool(*args, log=log) if command == "worker" else Server(*args, log=log)
    with made:
        Process.start(made)
        made.wait_ready(lambda: "database.wait" in made.log_tail())
        assert "Connection refused" in made.log_tail()
        assert made.terminate(timeout=20) in (0, -15)
