"""Of ten apps one hangs: the others are served, and so is that one when it answers again."""

from pathlib import Path

import pytest
import requests

from tests.acceptance.full_size import WITH_KILLS
from tests.endpoint import STEPS, Endpoint
from tests.processes import Server, wait_until
from tests.servers import Postgres, Valkey

APPS, STUCK, EACH, SLOTS = 10, 60, 3, 20


def register(server: str, name: str, endpoint: Endpoint) -> None:
    url = f"http://127.0.0.1:{endpoint.port}/x"
    body = {"app": name, "name": "f", "url": url, "triggers": [{"event": f"{name}/go"}]}
    requests.post(f"{server}/api/v1/functions", json=body, timeout=10).raise_for_status()


def send(server: str, name: str, count: int) -> None:
    events = [{"name": f"{name}/go"}] * count
    requests.post(f"{server}/e/key", json=events, timeout=30).raise_for_status()


def ended(endpoint: Endpoint) -> int:
    return len({run for run, number in list(endpoint.calls) if number == STEPS})


@pytest.mark.parametrize("kind", ["embedded", pytest.param("distributed", marks=WITH_KILLS)])
def test_hanging_app_delays_only_itself(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Slow: ten apps share slots while one holds its calls."""
    processes = 1
    if kind == "embedded":
        args = ["start", "--dev", "--database-url", f"sqlite:///{tmp_path / 'a.db'}"]
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        valkey: Valkey = request.getfixturevalue("valkey")
        args = ["start", "--dev", "--database-url", postgres.create_database()]
        args += ["--redis-url", valkey.url, "--workers", "2"]
        processes = 2
    args += ["--concurrency", str(SLOTS)]
    endpoints = [Endpoint() for _ in range(APPS)]
    stuck, others = endpoints[0], endpoints[1:]
    stuck.hold = 0
    with Server(*args, log=tmp_path / "server.log") as server:
        for endpoint in endpoints:
            endpoint.__enter__()
        try:
            # the apps register before the workers start, since workers read the apps then
            server.start(timeout=90)
            for number, endpoint in enumerate(endpoints):
                register(server.url, f"app{number}", endpoint)
            server.terminate()
            server.start(timeout=90)
            send(server.url, "app0", STUCK)
            most = (SLOTS // 2 + SLOTS // 2 // APPS) * processes
            wait_until(lambda: len(stuck.calls) >= processes * 2, 90, "calls that hang")
            for _ in range(EACH):
                for number in range(1, APPS):
                    send(server.url, f"app{number}", 1)
            wait_until(lambda: all(ended(one) == EACH for one in others), 90, "the others")
            assert len(stuck.calls) <= most
            stuck.hold = None
            stuck.go.set()
            wait_until(lambda: ended(stuck) == STUCK, 90, "the one that hung")
            assert len([run for run, number in stuck.calls if number == 0]) == STUCK
        finally:
            for endpoint in endpoints:
                endpoint.__exit__(None, None, None)
