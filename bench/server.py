"""The server under measurement: started in either mode, with what it costs."""

import json
import shutil
import sqlite3
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tests.processes import LOOPBACK, Process, Server, free_port, wait_until

from .dbos import Dbos
from .endpoint import RULES

MODES = ("embedded", "distributed")
WORKERS = 2


def fetch(url: str, body: Any = None, method: str | None = None) -> Any:
    """GET, or POST when there is a body, but for another method."""
    data = None if body is None else json.dumps(body).encode()
    head = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data, head, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


class App:
    """The SDK endpoint's process."""

    def __init__(self, folder: Path) -> None:
        self.url = f"http://{LOOPBACK}:{(port := free_port())}"
        argv = [sys.executable, "-m", "bench.endpoint", "--port", str(port)]
        self.process = Process(argv, folder / "endpoint.log")
        self.connected = 0  # workers

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process.start().wait_ready(self._answers)

    def _answers(self) -> bool:
        try:
            return fetch(f"{self.url}/count") is not None
        except OSError:
            return False

    def connect(self, server: str, count: int) -> None:
        """Connect so many workers more, and wait until all are ready."""
        self.connected += count
        fetch(f"{self.url}/connect?server={server}&count={count}")

        def ready() -> bool:
            return bool(fetch(f"{self.url}/connected")["ready"] >= self.connected)

        wait_until(ready, 300, f"{count} connected workers")

    def register(self, server: str, functions: Iterable[str]) -> None:
        """Tell the server of the functions."""
        where = f"{self.url}/api/inngest"
        listed = [
            {
                "id": f"bench-{name}",
                "name": name,
                "triggers": [{"event": f"bench/{name}"}],
                "steps": {
                    "step": {
                        "id": "step",
                        "name": "step",
                        "retries": {"attempts": 4},
                        "runtime": {
                            "type": "http",
                            "url": f"{where}?fnId=bench-{name}&stepId=step",
                        },
                    }
                },
                **RULES.get(name, {}),
            }
            for name in functions
        ]
        payload = {"url": where, "v": "0.1", "appName": "bench", "deployType": "ping"}
        payload |= {"sdk": "bench:v0.1.0", "framework": "bench"}
        fetch(f"{server}/fn/register", payload | {"functions": listed})


class Subject:
    """A fresh server of a mode, with its databases, in a folder of its own.

    `workers` counts those of the distributed mode; `options` are more of `start`'s.
    """

    def __init__(self, mode: str, *, workers: int = WORKERS, options: Iterable[str] = ()) -> None:
        self.mode, self._workers, self._options = mode, workers, tuple(options)
        self.folder = Path(tempfile.mkdtemp(prefix="inngest-py-bench-"))
        self.app = App(self.folder)
        self._parts: list[Any] = []
        self._postgres: Any = None
        self._file = self.folder / "bench.db"
        self.server = self._embedded() if mode == "embedded" else self._distributed()

    def _embedded(self) -> Server:
        self.database_url = f"sqlite:///{self._file}"
        return self._server("--database-url", self.database_url)

    def _distributed(self) -> Server:
        from tests.servers import Postgres, Valkey

        self._postgres, valkey = Postgres(), Valkey()
        self._parts = [self._postgres, valkey]
        for part in self._parts:
            part.start()
        self.database_url = self._postgres.create_database()
        urls = ("--database-url", self.database_url, "--redis-url", valkey.url)
        return self._server(*urls, "--workers", str(self._workers))

    def _server(self, *args: str) -> Server:
        log = self.folder / "server.log"
        quiet = ("--dev", "--log-level", "warning")
        # its routes set the limit of steps of a run
        env = {"DATABASE_URL": None, "INNGEST_TEST_API": "1"}
        return Server("start", *quiet, *args, *self._options, log=log, env=env)

    def start(self, functions: Iterable[str]) -> Self:
        """Start endpoint and server, register functions if there are any, wait for the workers."""
        self.app.start()
        began = time.monotonic()
        self.server.start(timeout=60)
        self.start_seconds = time.monotonic() - began
        if functions := list(functions):
            self.app.register(self.server.url, functions)
        least = 1 if self.mode == "embedded" else self._workers

        def ready() -> bool:
            return bool(fetch(f"{self.server.url}/health")["workers"] >= least)

        wait_until(ready, 60, "workers")
        return self

    def processes(self) -> list[psutil.Process]:
        """The server's process and its children."""
        parent = psutil.Process(self.server.pid)
        return [parent, *parent.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """CPU used by the server's processes so far."""
        return sum(cpu(process) for process in self.processes())

    def store_cpu_seconds(self) -> float:
        """CPU used by PostgreSQL so far, ended connections included."""
        if self._postgres is None:
            return 0.0
        pid = int((self._postgres.data / "postmaster.pid").read_text().split()[0])
        parent = psutil.Process(pid)
        reaped = parent.cpu_times()
        live = [parent, *parent.children(recursive=True)]
        return reaped.children_user + reaped.children_system + sum(cpu(one) for one in live)

    def memory_mb(self) -> list[float]:
        """Resident memory of each process now, the largest first."""
        return sorted((one.memory_info().rss / 1e6 for one in self.processes()), reverse=True)

    def peak_mb(self) -> float:
        """The peak of the process that used most."""
        return max(_peak_kb(one.pid) for one in self.processes()) * 1024 / 1e6

    def database_bytes(self) -> int:
        """Size of the database."""
        if self._postgres is None:
            with sqlite3.connect(self._file) as connection:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
                (pages,) = connection.execute("PRAGMA page_count").fetchone()
                (size,) = connection.execute("PRAGMA page_size").fetchone()
            connection.close()
            return int(pages * size)
        import psycopg2

        connection = psycopg2.connect(self.database_url)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_database_size(current_database())")
            (found,) = cursor.fetchone()
        connection.close()
        return int(found)

    def database_connections(self) -> int:
        """Count PostgreSQL's clients; none for SQLite."""
        if self._postgres is None:
            return 0
        import psycopg2

        connection = psycopg2.connect(self.database_url)
        with connection.cursor() as cursor:
            count = "SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            cursor.execute(count)
            (found,) = cursor.fetchone()
        connection.close()
        return int(found) - 1  # this one

    def another_database(self, name: str) -> str:
        """Return the URL of a new database of the same kind, for something to compare with."""
        if self._postgres is None:
            return f"sqlite:///{self.folder / name}.db"
        return str(self._postgres.create_database())

    def dbos(self) -> Dbos:
        """Start DBOS on the same kind of database."""
        return Dbos(self.another_database("dbos"), self.folder / "dbos.log")

    def close(self) -> None:
        """Stop everything and remove the folder."""
        if self.server.running:
            self.server.terminate()
        self.app.process.kill9()
        for part in self._parts:
            part.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            print(self.server.log_tail(), file=sys.stderr)
        self.close()


def cpu(process: psutil.Process) -> float:
    """CPU used by a process so far; 0 for one that is gone."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _peak_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0
