"""Two ways to run the tasks of one Celery app: by Celery alone, and as runs of this server.

Each way has a worker of its own: the same app with the same settings, prefork with two processes,
on another database of the same Valkey. They differ in one setting: Celery alone needs a result
backend to know when tasks have ended, and the server needs none. Both workers live all the time;
the one that is not measured is idle.
"""

import http.client
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import orjson
from celery import Signature, chain, group
from kombu.utils.json import dumps

from tests.processes import LOOPBACK, ROOT, Process, wait_until
from tests.servers import Valkey

from . import load
from .server import Subject, fetch
from .shop_app import app, noop

STEPS = 5
_PROCESSES = 2
_PATIENCE_SECONDS = 180.0
_POLL_SECONDS = 0.01
_SINGLE_POLL_SECONDS = 0.0005
_OPEN = "SELECT count(*) FROM runs WHERE status IN ('queued', 'running')"
_BAD = "SELECT count(*) FROM runs WHERE status NOT IN ('queued', 'running', 'completed')"
_RUNS = "/v1/celery/shop/runs"


def chain_of_five(number: int) -> Signature:
    """Make a chain of no-ops, each of which gets the result of the one before."""
    return chain(noop.s(number), *(noop.s() for _ in range(STEPS - 1)))


def group_of(count: int) -> Signature:
    """Make a group of no-ops."""
    return group(noop.si(number) for number in range(count))


class _Worker:
    """A worker of the app, on a broker, with or without a result backend."""

    def __init__(self, name: str, folder: Path, broker: str, backend: str | None) -> None:
        argv = [sys.executable, "-m", "celery", "-A", "bench.shop_app", "worker"]
        argv += ["-c", str(_PROCESSES), "-n", f"{name}@shop", "-l", "WARNING"]
        env = {"BENCH_BROKER": broker, "BENCH_BACKEND": backend, "PYTHONPATH": str(ROOT)}
        self.process = Process(argv, folder / f"{name}.log", env)


class Bare:
    """Celery alone: tasks are sent by this process, and awaited through a Redis result backend."""

    def __init__(self, valkey: Valkey, folder: Path) -> None:
        broker, backend = valkey.url_of(1), valkey.url_of(2)
        app.conf.update(broker_url=broker, result_backend=backend)
        self._worker = _Worker("bare", folder, broker, backend)

    def start(self) -> Self:
        """Start the worker, and wait until it works."""
        self._worker.process.start()
        noop.delay(0).get(timeout=_PATIENCE_SECONDS)
        return self

    def group(self, count: int) -> float:
        """Run a group; return the seconds until its results are here."""
        began = time.perf_counter()
        group_of(count).apply_async().get(timeout=_PATIENCE_SECONDS)
        return time.perf_counter() - began

    def chains(self, count: int) -> float:
        """Run chains of five, all at once; return the seconds until their results are here."""
        began = time.perf_counter()
        sent = [chain_of_five(number).apply_async() for number in range(count)]
        for one in sent:
            one.get(timeout=_PATIENCE_SECONDS)
        return time.perf_counter() - began

    def one(self, number: int) -> float:
        """Run one task; return the seconds until its result is here."""
        began = time.perf_counter()
        noop.delay(number).get(timeout=_PATIENCE_SECONDS)
        return time.perf_counter() - began

    def close(self) -> None:
        """Stop the worker."""
        self._worker.process.kill9()


class Ours:
    """The same through a fresh server of a mode. The end of runs is read from its database.

    The server is not asked for it: that would be a load which the other way does not have.
    """

    def __init__(self, valkey: Valkey, mode: str, workers: int) -> None:
        self.subject = Subject(mode, workers=workers)
        self._broker = valkey.url_of(3)
        self._worker = _Worker("ours", self.subject.folder, self._broker, None)

    def start(self) -> Self:
        """Start worker and server, connect the app, and have an event start its task."""
        self._worker.process.start()
        server = self.subject.server
        server.start(timeout=90)
        fetch(f"{server.url}/v1/celery/shop", {"broker_url": self._broker}, "PUT")
        listed = f"{server.url}/v1/celery"
        wait_until(lambda: fetch(listed)["data"][0]["tasks"], 60, "the app's tasks")
        trigger = {"on": [{"event": "bench/noop"}], "args": "[event.data.i]"}
        fetch(f"{listed}/shop/tasks/shop.noop", trigger, "PUT")
        self._read = _reader(self.subject.database_url)
        self._http = http.client.HTTPConnection(LOOPBACK, server.port, timeout=30)
        return self

    def group(self, count: int) -> float:
        """Run a group as one canvas; return the seconds until it has ended."""
        return self._timed(lambda: self._post([group_of(count)]))

    def chains(self, count: int) -> float:
        """Run chains of five, all at once; return the seconds until all have ended."""
        return self._timed(lambda: self._post(chain_of_five(number) for number in range(count)))

    def events(self, count: int) -> float:
        """Start a run by each of many events; return the seconds until all have ended."""
        return self._timed(lambda: load.burst(self.subject.server.port, "noop", count).refused)

    def one_by_event(self, number: int) -> float:
        """Send an event; return the seconds until the run that it starts has ended."""
        body = {"name": "bench/noop", "data": {"i": number}}
        began = time.perf_counter()
        event_id = self._call("/e/bench", body)["ids"][0]
        return self._ended(began, "event_id", event_id)

    def one_by_rest(self, number: int) -> float:
        """Start a run of one task; return the seconds until it has ended."""
        began = time.perf_counter()
        run_id = self._call(_RUNS, {"signature": noop.s(number)})["data"]["run_id"]
        return self._ended(began, "id", run_id)

    def cpu_seconds(self) -> float:
        """Say what the server and its workers have used so far; not the app's worker."""
        return self.subject.cpu_seconds()

    def close(self) -> None:
        """Stop all of it."""
        self._worker.process.kill9()
        self.subject.close()

    def _timed(self, send: Callable[[], int]) -> float:
        began = time.perf_counter()
        refused = send()
        assert not refused, f"{refused} were refused"
        wait_until(self._idle, _PATIENCE_SECONDS, "the runs' end")
        seconds = time.perf_counter() - began
        assert not self._read(_BAD), "runs have failed"
        return seconds

    def _idle(self) -> bool:
        time.sleep(_POLL_SECONDS)
        return self._read(_OPEN) == 0

    def _post(self, signatures: Iterable[Signature]) -> int:
        bodies = [_body(signature) for signature in signatures]
        return load.post(self.subject.server.port, _RUNS, bodies, accepted=201).refused

    def _call(self, path: str, body: object) -> Any:
        self._http.request("POST", path, dumps(body), {"Content-Type": "application/json"})
        answer = self._http.getresponse()
        text = answer.read()
        assert answer.status < 300, text
        return orjson.loads(text)

    def _ended(self, began: float, column: str, value: str) -> float:
        query = f"SELECT count(*) FROM runs WHERE {column} = '{value}' AND status = 'completed'"
        deadline = began + _PATIENCE_SECONDS
        while not self._read(query):
            assert time.perf_counter() < deadline, f"{value} has not ended"
            time.sleep(_SINGLE_POLL_SECONDS)
        return time.perf_counter() - began


def _body(signature: Signature) -> bytes:
    return str(dumps({"signature": signature})).encode()


def _reader(database_url: str) -> Callable[[str], int]:
    """Connect to a server's database; return what reads a number from it."""
    if database_url.startswith("sqlite"):
        file = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
        return lambda query: int(file.execute(query).fetchone()[0])
    import psycopg2

    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    cursor = connection.cursor()

    def read(query: str) -> int:
        cursor.execute(query)
        return int(cursor.fetchone()[0])

    return read
