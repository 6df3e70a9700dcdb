"""Retention as operators set it: by a flag, while runs are made, over kills and restarts."""

from pathlib import Path

import pytest
import requests

from tests.acceptance.full_size import WITH_KILLS
from tests.endpoint import STEPS, Endpoint, send, statuses
from tests.processes import Server, wait_until
from tests.servers import Postgres, Valkey

RUNS = 20


@pytest.mark.parametrize("kind", ["embedded", pytest.param("distributed", marks=WITH_KILLS)])
def test_old_runs_are_deleted_while_others_run(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Slow: runs are kept for five seconds, and pruned every few seconds."""
    if kind == "embedded":
        args = ["start", "--dev", "--database-url", f"sqlite:///{tmp_path / 'a.db'}"]
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        valkey: Valkey = request.getfixturevalue("valkey")
        args = ["start", "--dev", "--database-url", postgres.create_database()]
        args += ["--redis-url", valkey.url, "--workers", "2"]
    args += ["--keep-runs", "5s"]
    with Server(*args, log=tmp_path / "server.log") as server, Endpoint() as endpoint:
        server.start()
        endpoint.register(server.url)
        send(server.url, RUNS)
        server.kill9()
        server.start()
        send(server.url, RUNS)

        def ended() -> set[str]:
            return {run_id for run_id, number in list(endpoint.calls) if number == STEPS}

        wait_until(lambda: len(ended()) == 2 * RUNS, 90, "all runs to end")
        wait_until(lambda: statuses(server.url) == {}, 60, "finished runs to go")
        answered = requests.get(f"{server.url}/v1/runs/{ended().pop()}", timeout=10)
        assert answered.status_code == 404
