"""Commits: the writes of many runs in one transaction.

Writers that arrive together share a commit: the first becomes the leader, gathers the others for
a moment and writes all of them. Each write is fenced by its own lease. When one of them raises,
nothing of the shared transaction is kept and each is written alone, so that a lost lease drops
its own write and never its neighbours'. A write must therefore have no effect but its own SQL.
Writes of one kind are handed to that kind's function together, to need one statement for all.
"""

import threading
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from .. import observe
from ..storage.session import Database, outage, retriable

T = TypeVar("T")
V = TypeVar("V")

GATHER_SECONDS = 0.001
_OUTAGE_SECONDS = 60.0
_SLOWEST_SECONDS = 2.0
_MOST_TOGETHER = 64


class _Entry:
    __slots__ = ("called", "error", "key", "leads", "result", "value", "write_all")

    def __init__(self, key: str, write_all: Callable[..., Sequence[Any]], value: Any) -> None:
        self.key, self.write_all, self.value = key, write_all, value
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

    def run(
        self, key: str, write_all: Callable[[Connection, Sequence[V]], Sequence[T]], value: V
    ) -> T:
        """Commit a write and return its result; raises what it raised.

        `write_all` gets the values of all that share the commit and this function, in the order
        of their keys, and returns a result for each. Outages of the database are waited for, up
        to a minute.
        """
        if not self._shared:
            return self.run_alone(lambda tx: write_all(tx, [value])[0])
        entry = _Entry(key, write_all, value)
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

    def run_alone(self, write: Callable[[Connection], T]) -> T:
        """Commit a write in a transaction of its own, as run() does otherwise."""
        return self._alone(write, time.monotonic() + _OUTAGE_SECONDS)

    def _lead(self, leader: _Entry) -> None:
        """Write everything that waits, in one commit, and pass the lead on."""
        time.sleep(GATHER_SECONDS if self._last > 1 else 0)
        with self._lock:
            self._waiting.remove(leader)
            batch = [leader, *self._joining(leader)]
            joined = set(batch)
            self._waiting = [entry for entry in self._waiting if entry not in joined]
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

    def _joining(self, leader: _Entry) -> list[_Entry]:
        """Choose who joins the leader.

        Only writes of its kind where rows are locked: each kind locks in an order of its own.
        """
        joining = self._waiting
        if not self._db.is_sqlite:
            joining = [entry for entry in joining if entry.write_all is leader.write_all]
        return joining[: _MOST_TOGETHER - 1]

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
                [entry.result] = self._alone(_of([entry]), deadline)
            except Exception as error:
                entry.error = error

    def _together(self, batch: list[_Entry]) -> bool:
        try:
            with self._db.transaction() as tx:
                written = [(entries, _of(entries)(tx)) for entries in _kinds(batch)]
        except Exception:
            return False  # one of them lost its lease, or the database is away: each alone
        for entries, results in written:
            for entry, result in zip(entries, results, strict=True):
                entry.result = result
        return True

    def _alone(self, write: Callable[[Connection], T], deadline: float) -> T:
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


def waves(values: Sequence[V], key: Callable[[V], str]) -> list[list[V]]:
    """Part values so that each part has a key once at most, its values in the keys' order."""
    parts: list[list[V]] = []
    for _, same in groupby(sorted(values, key=key), key):
        for place, value in enumerate(same):
            if place == len(parts):
                parts.append([])
            parts[place].append(value)
    return parts


def _of(entries: Sequence[_Entry]) -> Callable[[Connection], Sequence[Any]]:
    """Make the one write of entries of a kind."""
    return lambda tx: entries[0].write_all(tx, [entry.value for entry in entries])


def _kinds(batch: Sequence[_Entry]) -> list[list[_Entry]]:
    """Part a batch by its functions, these in an order that every process has, each by key."""
    kinds: dict[str, list[_Entry]] = {}
    for entry in sorted(batch, key=lambda entry: (entry.write_all.__qualname__, entry.key)):
        kinds.setdefault(entry.write_all.__qualname__, []).append(entry)
    return list(kinds.values())
