"""The Python SDK as a connected worker: what apps that are called over HTTP can do, and its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Server

from .client import Api
from .connect_worker import KIND, ConnectWorker


@pytest.fixture(scope="module")
def connect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("connect")
    args = ("--db", str(folder / "server.db"), "--no-discovery", "--retry-interval", "1")
    with Server("dev", *args, log=folder / "server.log") as server:
        yield server.start()


@pytest.fixture(scope="module")
def worker(
    connect_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConnectWorker]:
    folder: Path = tmp_path_factory.mktemp("worker")
    with ConnectWorker(connect_server.url, folder).start() as worker:
        yield worker


def test_two_steps_and_a_sleep(connect_server: Server, worker: ConnectWorker) -> None:
    api = Api(connect_server.url)
    run = api.run(api.send(f"{KIND}/sleep"))
    assert run["status"] == "Completed", worker.log_tail()
    assert run["output"] == "rested"
    assert [one["step"] for one in worker.effects(run["run_id"])] == ["before", "after"]
