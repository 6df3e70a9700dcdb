"""A backup of a server that works, taken by the command and restored: every run in it ends."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command import command
from tests.endpoint import STEPS, Endpoint, send, statuses
from tests.processes import Server, wait_until
from tests.servers import Postgres

RUNS = 30


def done(*args: str) -> Any:
    """Run a command; return what it printed as JSON."""
    found = command(*args, "--json", "--log-level", "error")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


@pytest.mark.parametrize("form", ["sqlite", "pg_dump", "rows"])
def test_runs_in_flight_at_a_backup_end_after_it_is_restored(
    form: str, tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls that were under way are made again when their leases have lapsed."""
    monkeypatch.setenv("PATH", str(postgres.programs), prepend=":")
    one, two, file = (str(tmp_path / name) for name in ("one.db", "two.db", "backup"))
    of_postgres = form != "sqlite"
    old = postgres.create_database() if of_postgres else f"sqlite:///{one}"
    new = postgres.create_database() if form == "pg_dump" else f"sqlite:///{two}"
    portable = ["--portable"] if form == "rows" else []
    with Endpoint() as endpoint:
        endpoint.hold = 2
        log = tmp_path / "server.log"
        with Server("start", "--dev", "--database-url", old, log=log) as server:
            server.start()
            endpoint.register(server.url)
            send(server.url, RUNS)
            held = lambda: sum(number == 2 for _, number in list(endpoint.calls)) == RUNS  # noqa: E731
            wait_until(held, 60, "all runs to be called for their third step")
            made = done("backup", file, "--database-url", old, *portable)
            assert made["form"] == form
            server.kill9()
        endpoint.hold = None
        endpoint.go.set()
        restored = done("restore", file, "--database-url", new)
        assert (restored["runs"], restored["live"]) == (RUNS, RUNS)
        with Server("start", "--dev", "--database-url", new, log=log) as server:
            server.start()
            ended = lambda: statuses(server.url) == {"completed": RUNS}  # noqa: E731
            wait_until(ended, 90, "the runs to end")
    steps = [number for _, number in endpoint.calls]
    assert all(steps.count(number) == RUNS for number in (0, 1, STEPS))
