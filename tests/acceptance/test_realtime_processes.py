"""Realtime with several processes: where somebody publishes or subscribes makes no difference."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.test_realtime import publish, received, subscribe
from tests.processes import Server
from tests.servers import Valkey


@pytest.fixture
def pair(tmp_path: Path, postgres_url: str, valkey: Valkey) -> Iterator[list[Server]]:
    env = {"INNGEST_DEV": "1", "DATABASE_URL": postgres_url, "REDIS_URL": valkey.url_of(3)}
    servers = [Server("api", log=tmp_path / f"{number}.log", env=env) for number in range(2)]
    try:
        yield [server.start() for server in servers]
    finally:
        for server in servers:
            server.kill9()


def test_messages_reach_all_processes_in_order(pair: list[Server]) -> None:
    subscribers = [subscribe(server, "ai") for server in pair]
    for number in range(100):
        assert publish(pair[number % 2], str(number)).status_code == 200
    for made in subscribers:
        assert [received(made)["data"] for _ in range(100)] == list(range(100))
        made.close()
