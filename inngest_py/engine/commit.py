"""Commits: the writes of many runs in one transaction.

Writers that arrive together share a commit: the first becomes the leader, gathers the others for
a moment and writes all of them. Each write is fenced by its own lease. When one of them raises,
nothing of the shared transaction is kept and each is written alone, so that a lost lease drops
its own write and never its neighbours'. A write must therefore have no effect but its own SQL.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from .. import observe
from ..storage.session import Database, outage, retriable

T = TypeVar("T")
Write = Callable[[Connection], T]

GATHER_SECONDS = 0.001
_OUTAGE_SECONDS = 60.0
_SLOWEST_SECONDS = 2.0
_MOST_TOGETHER = 64


class _Entry:
    __slots__ = ("called", "error", "key", "leads", "result", "write")

    def __init__(self, key: str, write: Write[Any]) -> None:
        self.key, self.write = key, write
        self.called = threading.Event()  # the write is done, or its turn to lead has come
        self.leads = False
        self.result: Any = None
        self.error: BaseException | None = None


class Committer:
    """Joins the commits of one process. With `shared` off, every write has its own."""

    def __init__(self, db: Database, *, shared: bool = True) -> None:
        self._db = db
        self._shared = shared
        self._lock = threading.Lock()
        self._waiting: list[_Entry] = []
        self._led = False
        self._last = 1  # how many the last commit joined: alone, nobody waits to gather

    def run(self, key: str, write: Write[T]) -> T:
        """Commit a write and return its result; raises what it raised.

        `key` (the run's id) orders the writes of a shared commit, so that two processes lock the
        same rows in the same order. Outages of the database are waited for, up to a minute.
        """
        if not self._shared:
            return self.run_alone(write)
        entry = _Entry(key, write)
        with self._lock:
            self._waiting.append(entry)
            entry.leads, self._led = not self._led, True
        if not entry.leads:
            entry.called.wait()
        if entry.leads:
            self._lead(entry)
        if entry.error is not None:
            raise entry.error
        result: T = entry.result
        return result

    def run_alone(self, write: Write[T]) -> T:
        """Commit a write in a transaction of its own, as run() does otherwise."""
        return self._alone(write, time.monotonic() + _OUTAGE_SECONDS)

    def _lead(self, leader: _Entry) -> None:
        """Write everything that waits, in one commit, and pass the lead on."""
        time.sleep(GATHER_SECONDS if self._last > 1 else 0)
        with self._lock:
            self._waiting.remove(leader)
            batch = [leader, *self._waiting[: _MOST_TOGETHER - 1]]
            del self._waiting[: _MOST_TOGETHER - 1]
        self._last = len(batch)
        try:
            self._write(batch)
        except BaseException as error:  # the leader is being killed: nobody may wait for ever
            for entry in batch:
                entry.error = entry.error or error
            raise
        finally:
            self._pass_on()
            for entry in batch:
                entry.called.set()

    def _pass_on(self) -> None:
        """Let the next in line lead: a leader that went on would keep its own run waiting."""
        with self._lock:
            if not self._waiting:
                self._led = False
                return
            following = self._waiting[0]
            following.leads = True
        following.called.set()

    def _write(self, batch: list[_Entry]) -> None:
        if len(batch) > 1 and self._together(batch):
            return
        deadline = time.monotonic() + _OUTAGE_SECONDS
        for entry in batch:
            try:
                entry.result = self._alone(entry.write, deadline)
            except Exception as error:
                entry.error = error

    def _together(self, batch: list[_Entry]) -> bool:
        try:
            with self._db.transaction() as tx:
                ordered = sorted(batch, key=lambda entry: entry.key)
                results = [(entry, entry.write(tx)) for entry in ordered]
        except Exception:
            return False  # one of them lost its lease, or the database is away: each alone
        for entry, result in results:
            entry.result = result
        return True

    def _alone(self, write: Write[T], deadline: float) -> T:
        pause, told = 0.05, False
        while True:
            try:
                with self._db.transaction() as tx:
                    return write(tx)
            except DBAPIError as error:
                away = outage(error)
                if not (away or retriable(error)) or time.monotonic() > deadline:
                    raise
                if away and not told:
                    told = True
                    observe.event("database.away", level=30)
            time.sleep(pause)
            pause = min(pause * 2, _SLOWEST_SECONDS)
