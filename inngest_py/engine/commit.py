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
_MOST_TOGETHER = 64


class _Entry:
    __slots__ = ("done", "error", "key", "result", "write")

    def __init__(self, key: str, write: Write[Any]) -> None:
        self.key, self.write = key, write
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None


class Committer:
    """Joins the commits of one process. With `shared` off, every write has its own."""

    def __init__(self, db: Database, *, shared: bool = True) -> None:
        self._db = db
        self._shared = shared
        self._lock = threading.Lock()
        self._waiting: list[_Entry] = []
        self._leading = False
        self._last = 1  # how many the last commit joined: alone, nobody waits to gather

    def run(self, key: str, write: Write[T]) -> T:
        """Commit a write and return its result; raises what it raised.

        `key` (the run's id) orders the writes of a shared commit, so that two processes lock the
        same rows in the same order. Outages of the database are waited for, up to a minute.
        """
        if not self._shared:
            return self._alone(write)
        entry = _Entry(key, write)
        with self._lock:
            self._waiting.append(entry)
            lead = not self._leading
            self._leading = True
        if lead:
            self._lead()
        entry.done.wait()
        if entry.error is not None:
            raise entry.error
        result: T = entry.result
        return result

    def _lead(self) -> None:
        while True:
            if self._last > 1:
                time.sleep(GATHER_SECONDS)
            else:
                time.sleep(0)
            with self._lock:
                batch = self._waiting[:_MOST_TOGETHER]
                del self._waiting[:_MOST_TOGETHER]
                if not batch:
                    self._leading = False
                    return
            self._last = len(batch)
            self._write(batch)

    def _write(self, batch: list[_Entry]) -> None:
        try:
            if len(batch) > 1 and self._together(batch):
                return
            for entry in batch:
                try:
                    entry.result = self._alone(entry.write)
                except Exception as error:
                    entry.error = error
        except BaseException as error:  # the greenlet is being killed: nobody may wait for ever
            for entry in batch:
                entry.error = entry.error or error
            raise
        finally:
            for entry in batch:
                entry.done.set()

    def _together(self, batch: list[_Entry]) -> bool:
        results = []
        try:
            with self._db.transaction() as tx:
                ordered = sorted(batch, key=lambda entry: entry.key)
                results = [(entry, entry.write(tx)) for entry in ordered]
        except Exception:
            return False  # one of them lost its lease, or the database is away: each alone
        for entry, result in results:
            entry.result = result
        return True

    def _alone(self, write: Write[T]) -> T:
        waited, pause = 0.0, 0.05
        while True:
            try:
                with self._db.transaction() as tx:
                    return write(tx)
            except DBAPIError as error:
                away = outage(error)
                if not (away or retriable(error)) or waited > _OUTAGE_SECONDS:
                    raise
                if waited == 0.0 and away:
                    observe.event("database.away", level=30)
            time.sleep(pause)
            waited += pause
            pause = min(pause * 2, 2.0)
