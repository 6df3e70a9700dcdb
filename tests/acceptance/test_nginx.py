"""The sample of nginx before two API processes: restarts of each that no caller notices."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from sqlalchemy import text

from inngest_py.storage.db.session import Database
from tests.api.test_realtime import Events, publish, token
from tests.nginx import Nginx
from tests.processes import Server, Tool, wait_until
from tests.sdk.client import Api
from tests.sdk.connect_worker import KIND, ConnectWorker
from tests.servers import Valkey

CALLERS = 6
MANY = 50


@pytest.fixture
def env(postgres_url: str, valkey: Valkey) -> dict[str, str]:
    return {"INNGEST_DEV": "1", "DATABASE_URL": postgres_url, "REDIS_URL": valkey.url}


@pytest.fixture
def apis(env: dict[str, str], tmp_path: Path) -> Iterator[list[Server]]:
    with ExitStack() as stack:
        made = [Server("api", log=tmp_path / f"api-{n}", env=env) for n in range(2)]
        yield [stack.enter_context(one).start() for one in made]


class Callers:
    """What threads do until the end: send an event, read a list, one request after another."""

    def __init__(self, url: str) -> None:
        self._url, self._over = url, threading.Event()
        self.accepted = 0
        self.failed: list[str] = []
        self._lock = threading.Lock()

    def call(self, *, keeps: bool) -> None:
        """Call until the end, over a kept connection or one for each request."""
        session = requests.Session() if keeps else requests
        while not self._over.is_set():
            try:
                sent = session.post(f"{self._url}/e/key", json={"name": "a/b"}, timeout=30)
                read = session.get(f"{self._url}/v1/events?limit=1", timeout=30)
            except requests.RequestException as error:
                self._count(0, repr(error))
            else:
                wrong = [f"{one.status_code} {one.text}" for one in (sent, read) if not one.ok]
                self._count(int(sent.ok), *wrong)

    def _count(self, accepted: int, *failed: str) -> None:
        with self._lock:
            self.accepted += accepted
            self.failed += failed

    def more(self) -> None:
        """Wait until some more have been accepted."""
        most = self.accepted + 5 * CALLERS
        wait_until(lambda: self.accepted > most, 60, "more requests")

    def end(self) -> None:
        """Let them end after their present request."""
        self._over.set()


def test_no_request_fails_while_each_api_restarts(
    apis: list[Server], postgres_url: str, tmp_path: Path
) -> None:
    """Slow: four starts of a server."""
    ports = [one.port for one in apis]
    with Nginx(tmp_path, ports).start() as nginx, ThreadPoolExecutor(CALLERS) as pool:
        callers = Callers(nginx.url)
        for number in range(CALLERS):
            pool.submit(callers.call, keeps=number % 2 == 0)
        try:
            for api in apis:
                callers.more()
                assert api.terminate() == 0
                callers.more()  # the other one has them all
                api.start()
            callers.more()
        finally:
            callers.end()
    assert (callers.failed, callers.accepted > MANY) == ([], True)
    database = Database(postgres_url)
    with database.reading() as tx:
        stored = tx.execute(text("SELECT count(*) FROM events WHERE name = 'a/b'")).scalar_one()
    database.close()
    assert stored == callers.accepted  # none is lost, and none was sent twice


def test_streams_and_connected_workers(
    apis: list[Server], env: dict[str, str], tmp_path: Path
) -> None:
    with ExitStack() as stack:
        nginx = stack.enter_context(Nginx(tmp_path, [one.port for one in apis]).start())
        stream = Events(nginx, token(nginx, "ai"))
        assert publish(nginx, "1").status_code == 200
        assert stream.message()["data"] == 1
        stream.reply.close()
        stack.enter_context(Tool("worker", log=tmp_path / "worker", env=env)).start()
        stack.enter_context(ConnectWorker(nginx.url, tmp_path)).start()
        api = Api(nginx.url)
        run = api.run(api.send(f"{KIND}/sleep"), timeout=40)
        assert (run["status"], run["output"]) == ("Completed", "rested")
