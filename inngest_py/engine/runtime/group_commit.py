"""Commits: the writes of many runs in one transaction.

Writers that arrive together share a commit: the first becomes the leader, gathers the others for
a moment and writes all of them. Each write is fenced by its own lease. When one of them raises,
nothing of the shared transaction is kept and each is written alone, so that a lost lease drops
its own write and never its neighbours'. A write must therefore have no effect but its own SQL.
Writes of one kind are handed to that kind's function together, to need one statement for all.

An outage is waited for by each writer by itself, until its own deadline, and never by a leader for
the others. A writer may be killed at any moment: whoever led is followed by the next in line.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from ... import observe
from ...domain.errors import InngestPyError
from ...storage.db import deadlines
from ...storage.db.outages import Fault, NoAnswer, fault, logged
from ...storage.db.outcomes import mark, was_committed
from ...storage.db.probing import writable
from ...storage.db.session import Database

T = TypeVar("T")
V = TypeVar("V")

GATHER_SECONDS = 0.001
_OUTAGE_SECONDS = 60.0
_SLOWEST_SECONDS = 2.0
_HOPELESS_SECONDS = 600.0
_MOST_TOGETHER = 64


class _Entry:
    __slots__ = (
        "called",
        "error",
        "gone",
        "key",
        "leads",
        "result",
        "value",
        "write_all",
        "written",
    )

    def __init__(self, key: str, write_all: Callable[..., Sequence[Any]], value: Any) -> None:
        self.key, self.write_all, self.value = key, write_all, value
        self.called = threading.Event()  # the write is done, or its turn to lead has come
        self.leads = False
        self.gone = False  # nobody waits for it any more
        self.written = False  # or refused: `result` or `error` says which
        self.result: Any = None
        self.error: BaseException | None = None

    def settle(self, result: Any = None, error: BaseException | None = None) -> None:
        self.result, self.error, self.written = result, error, True


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
        of their keys, and returns a result for each. Outages of the database are waited for until
        the caller's deadline (storage/db/deadlines.py), for a minute where it has none. Then their
        error is raised, and the write may have been done nevertheless.
        """
        if not self._shared:
            return self.run_alone(lambda tx: write_all(tx, [value])[0])
        result: T = self._patiently(lambda: self._join(_Entry(key, write_all, value)))
        return result

    def run_alone(self, write: Callable[[Connection], T]) -> T:
        """Commit a write in a transaction of its own, as run() does otherwise."""
        return self._patiently(lambda: self._in_one(write))

    def run_once(self, write: Callable[[Connection], T]) -> T:
        """Commit a write as run_alone() does, but never twice.

        For writes that come to something else the second time, such as a new run. When the answer
        to a COMMIT was lost, the database is asked what became of it. That costs each write a
        round trip.
        """
        sent: list[tuple[str | None, T]] = []  # the last write whose COMMIT may have been done

        def attempt() -> T:
            if sent and was_committed(self._db, sent[0][0]):
                return sent[0][1]
            sent.clear()
            with self._db.transaction() as tx:
                result = write(tx)
                sent.append((mark(tx), result))
            return result

        return self._patiently(attempt)

    def read(self, read: Callable[[Connection], T]) -> T:
        """Read something, and wait for the database as run() does."""

        def attempt() -> T:
            with self._db.reading() as tx:
                return read(tx)

        return self._patiently(attempt)

    def _patiently(self, attempt: Callable[[], T]) -> T:
        deadline = time.monotonic() + deadlines.seconds(_OUTAGE_SECONDS)
        if not deadlines.urgent():
            return self._within(attempt, deadline)
        with deadlines.until(deadline):
            return self._within(attempt, deadline)

    def _within(self, attempt: Callable[[], T], deadline: float) -> T:
        try:
            found = attempt()
        except SQLAlchemyError as error:
            found = self._wait_out(attempt, error, deadline)
        if self._db.outage.seen:
            self._db.outage.over()
        return found

    def _wait_out(self, attempt: Callable[[], T], error: SQLAlchemyError, deadline: float) -> T:
        """Try again until an outage is over. Raises the last error, at once where it is none."""
        pause, began = 0.05, time.monotonic()
        while True:
            found = fault(error)
            # others are in the way for moments: that is no outage
            if found is not None and (found is not Fault.BUSY or pause >= _SLOWEST_SECONDS):
                self._db.outage.note(error)
            if found is None or self._gives_up(found, began, deadline):
                raise error
            # those who failed together come back apart
            wait = pause * random.uniform(0.5, 1.0)
            time.sleep(max(0.0, min(wait, deadline - time.monotonic())))
            pause = min(pause * 2, _SLOWEST_SECONDS)
            try:
                return attempt()
            except SQLAlchemyError as again:
                if deadlines.left() == 0:  # it had no time: the one before tells more
                    raise error from None
                error = again

    def _gives_up(self, found: Fault, began: float, deadline: float) -> bool:
        now = time.monotonic()
        if now > deadline or (found is Fault.REFUSES and deadlines.urgent()):
            return True
        # refused for so long while the database takes other writes: it is this one that it means
        return found is not Fault.AWAY and now - began > _HOPELESS_SECONDS and writable(self._db)

    def _in_one(self, write: Callable[[Connection], T]) -> T:
        with self._db.transaction() as tx:
            return write(tx)

    def _join(self, entry: _Entry) -> Any:
        """Commit with others, as their leader or led by one of them."""
        with self._lock:
            self._waiting.append(entry)
            entry.leads, self._led = not self._led, True
        if not entry.leads:
            self._follow(entry)
        if entry.leads:
            self._lead(entry)
        if entry.error is not None:
            raise entry.error
        return entry.result

    def _follow(self, entry: _Entry) -> None:
        """Wait until the write is done or has to be led."""
        try:
            called = entry.called.wait(deadlines.left())
        except BaseException:  # killed
            self._leave(entry)
            raise
        if not called:
            self._leave(entry)
            raise NoAnswer("the database did not answer in time")

    def _leave(self, entry: _Entry) -> None:
        """Go before the write is done; the lead, if it has come by now, goes to the next."""
        with self._lock:
            entry.gone = True
            if entry in self._waiting:
                self._waiting.remove(entry)
            leads = entry.leads
        if leads:
            self._pass_on()

    def _lead(self, leader: _Entry) -> None:
        """Write everything that waits, in one commit, and pass the lead on."""
        batch = [leader]
        try:
            time.sleep(GATHER_SECONDS if self._last > 1 else 0)
            batch = self._gather(leader)
            self._last = len(batch)
            self._write(batch)
        finally:
            # where the leader is being killed, nothing has decided about these: they come again
            self._pass_on(leader, [entry for entry in batch[1:] if not entry.written])
            for entry in batch:
                if entry.written:
                    entry.called.set()

    def _gather(self, leader: _Entry) -> list[_Entry]:
        """Take the leader and who joins it out of those that wait.

        Only writes of its kind where rows are locked: each kind locks in an order of its own.
        """
        with self._lock:
            self._waiting.remove(leader)
            joining = self._waiting
            if self._db.locks_rows:
                joining = [entry for entry in joining if entry.write_all is leader.write_all]
            batch = [leader, *joining[: _MOST_TOGETHER - 1]]
            joined = set(batch)
            self._waiting = [entry for entry in self._waiting if entry not in joined]
        return batch

    def _pass_on(self, leader: _Entry | None = None, undecided: Sequence[_Entry] = ()) -> None:
        """Let the next in line lead: a leader that went on would keep its own run waiting."""
        with self._lock:
            waiting = [entry for entry in (*undecided, *self._waiting) if not entry.gone]
            self._waiting = [entry for entry in waiting if entry is not leader]
            self._led = bool(self._waiting)
            following = self._waiting[0] if self._waiting else None
            if following is not None:
                following.leads = True
        if following is not None:
            following.called.set()

    def _write(self, batch: list[_Entry]) -> None:
        if len(batch) > 1 and self._together(batch):
            return
        for place, entry in enumerate(batch):
            try:
                [result] = self._in_one(_of([entry]))
                entry.settle(result)
            except Exception as error:
                # a refusal comes at once, and may mean this write alone: the others are tried
                stops = fault(error) in (Fault.AWAY, Fault.BUSY)
                for failed in batch[place:] if stops else [entry]:
                    failed.settle(error=error)
                if stops:
                    return

    def _together(self, batch: list[_Entry]) -> bool:
        """Write all at once; say whether that has settled them."""
        try:
            with self._db.transaction() as tx:
                written = [(entries, _of(entries)(tx)) for entries in _kinds(batch)]
        except InngestPyError:  # one of them lost its lease, or alike: each alone
            return False
        except Exception as error:
            if fault(error) is Fault.AWAY:
                for entry in batch:
                    entry.settle(error=error)
                return True
            if fault(error) is None:  # alone each may well succeed, and nobody would know of it
                observe.event("commit.apart", level=30, writes=len(batch), **logged(error))
            return False
        for entries, results in written:
            for entry, result in zip(entries, results, strict=True):
                entry.settle(result)
        return True


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
