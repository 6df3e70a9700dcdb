"""The API in gunicorn: events, metrics of all processes, WebSockets, a worker's connection."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.api.test_realtime import Events, publish, received, subscribe, token
from tests.metrics import value
from tests.processes import LOOPBACK, Server, Tool, free_port, wait_until
from tests.sdk.client import Api
from tests.sdk.connect_worker import KIND, ConnectWorker
from tests.servers import Postgres, Valkey


class Gunicorn(Server):
    """The API as gunicorn serves it."""

    def __init__(self, *args: str, log: Path, env: dict[str, str]) -> None:
        super().__init__("api", log=log, env=env, port=free_port())
        # the control socket would be in the home of whoever runs the tests
        where = ["-b", f"{LOOPBACK}:{self.port}", "--no-control-socket"]
        self.argv = [sys.executable, "-m", "gunicorn", *where, *args]


@pytest.fixture(scope="module")
def env(postgres: Postgres, session_valkey: Valkey) -> dict[str, str]:
    broker = session_valkey.url_of(8)
    return {"INNGEST_DEV": "1", "DATABASE_URL": postgres.create_database(), "REDIS_URL": broker}


def processes(server: Server) -> float | None:
    page = requests.get(f"{server.url}/metrics", timeout=20).text
    return value(page, "inngest_api_processes")


@pytest.fixture(scope="module")
def server(env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("gunicorn")
    args = ("-c", "python:inngest_py.gunicorn", "-w", "2")
    with Gunicorn(*args, log=folder / "log", env=env) as made:
        made.start()
        wait_until(lambda: processes(made) == 2, 30, "both processes")
        yield made


def test_processes_count_together(server: Server) -> None:
    for _ in range(8):
        assert requests.post(f"{server.url}/e/key", json={"name": "a"}, timeout=10).ok
    pages = [requests.get(f"{server.url}/metrics", timeout=10).text for _ in range(6)]
    assert {value(page, "inngest_events_accepted_total") for page in pages} == {8}


def test_a_connected_worker(server: Server, env: dict[str, str], tmp_path: Path) -> None:
    with ExitStack() as stack:
        stack.enter_context(Tool("worker", log=tmp_path / "worker", env=env)).start()
        stack.enter_context(ConnectWorker(server.url, tmp_path)).start()
        api = Api(server.url)
        run = api.run(api.send(f"{KIND}/sleep"), timeout=40)
        assert (run["status"], run["output"]) == ("Completed", "rested")


def test_a_stop_ends_streams(server: Server) -> None:
    """The last test of this server."""
    subscribers = [subscribe(server, "ai") for _ in range(4)]
    assert publish(server, "1").status_code == 200
    assert [received(made)["data"] for made in subscribers] == [1] * 4
    page = requests.get(f"{server.url}/ui/live", stream=True, timeout=10)
    assert server.terminate(20) == 0  # gunicorn waits for 30 s for what does not end
    assert [received(made)["kind"] for made in subscribers] == ["closing"] * 4
    page.close()
    assert "Traceback" not in server.log.read_text()


def test_threads_loaded_before_the_fork(env: dict[str, str], tmp_path: Path) -> None:
    args = ("-c", "python:inngest_py.gunicorn", "-k", "gthread", "--threads", "4", "--preload")
    with Gunicorn(*args, log=tmp_path / "log", env=env).start() as server:
        stream = Events(server, token(server, "ai"))
        assert publish(server, "1").status_code == 200
        assert stream.message()["data"] == 1
        stream.reply.close()
        asked = {"Upgrade": "websocket", "Connection": "Upgrade"}
        refused = requests.get(f"{server.url}/v0/connect", headers=asked, timeout=10)
        assert (refused.status_code, "worker class gevent" in refused.text) == (501, True)
        assert server.terminate(25) == 0
