"""Group commit: one transaction for the writes of many runs.

Writers that arrive together share a commit. The first becomes the leader: it gathers the others for
a moment and writes for all of them. Each write is fenced by its own lease. When a write raises, the
shared transaction is rolled back and each write is tried alone, so that a lost lease drops only its
own write. A write must therefore have no effect except its own SQL. Writes of one kind go to that
kind's function together, so that it needs one statement for all.

Each writer waits for the end of an outage by itself, until its own deadline; a leader never waits
for others. A writer may be killed at any moment: if it leads, the next writer becomes the leader.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from ... import observe
from ...domain.errors import InngestPyError
from ...storage.db import deadlines
from ...storage.db.commit_outcomes import mark, was_committed
from ...storage.db.outages import Fault, NoAnswer, fault, logged
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

    def __init__(self, key: str, write_all: Callable[..., Sequence[object]], value: object) -> None:
        self.key, self.write_all, self.value = key, write_all, value
        self.called = threading.Event()  # the write is done, or this writer becomes the leader
        self.leads = False
        self.gone = False  # its writer has stopped waiting
        self.written = False  # or refused: `result` or `error` says which
        self.result: Any = None
        self.error: BaseException | None = None

    def finish(self, result: object = None, error: BaseException | None = None) -> None:
        self.result, self.error, self.written = result, error, True


class Committer:
    """Joins the commits of one process. Without `shared`, every write has its own commit."""

    def __init__(self, db: Database, *, shared: bool = True) -> None:
        self._db = db
        self._shared = shared
        self._lock = threading.Lock()
        self._waiting: list[_Entry] = []
        self._led = False
        self._last = 1  # how many writes the last commit had: after one, no leader waits for others

    def run(
        self, key: str, write_all: Callable[[Connection, Sequence[V]], Sequence[T]], value: V
    ) -> T:
        """Commit a write and return its result; raises what it raised.

        `write_all` gets the values of all writers of the commit that gave this function, in the
        order of their keys, and returns a result for each. Waits for an outage to end until the
        caller's deadline (storage/db/deadlines.py), for a minute if it has none. Then it raises
        the outage's error; the write may have been done all the same.
        """
        if not self._shared:
            return self.run_alone(lambda tx: write_all(tx, [value])[0])
        result: T = self._patiently(lambda: self._join(_Entry(key, write_all, value)))
        return result

    def run_alone(self, write: Callable[[Connection], T]) -> T:
        """Commit a write in a transaction of its own; else as run()."""
        return self._patiently(lambda: self._in_one(write))

    def run_once(self, write: Callable[[Connection], T]) -> T:
        """Commit a write as run_alone() does, but never twice.

        For writes that do something else the second time, such as making a new run. If the answer
        to a COMMIT was lost, this asks the database whether it was done. That costs each write one
        more round trip.
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
        """Read, and wait for the end of an outage as run() does."""

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
        """Try again until the outage is over. Raises the last error; at once if it is no outage."""
        delay, began = 0.05, time.monotonic()
        while True:
            found = fault(error)
            # a lock of others that lasts for a moment is no outage
            if found is not None and (found is not Fault.BUSY or delay >= _SLOWEST_SECONDS):
                self._db.outage.note(error)
            if found is None or self._gives_up(found, began, deadline):
                raise error
            # spread the tries of writers that failed together
            wait = delay * random.uniform(0.5, 1.0)
            time.sleep(max(0.0, min(wait, deadline - time.monotonic())))
            delay = min(delay * 2, _SLOWEST_SECONDS)
            try:
                return attempt()
            except SQLAlchemyError as again:
                if deadlines.left() == 0:  # this try had no time: the error before says more
                    raise error from None
                error = again

    def _gives_up(self, found: Fault, began: float, deadline: float) -> bool:
        now = time.monotonic()
        if now > deadline or (found is Fault.REFUSES and deadlines.urgent()):
            return True
        # refused for so long while other writes succeed: this write itself is refused
        return found is not Fault.AWAY and now - began > _HOPELESS_SECONDS and writable(self._db)

    def _in_one(self, write: Callable[[Connection], T]) -> T:
        with self._db.transaction() as tx:
            return write(tx)

    def _join(self, entry: _Entry) -> Any:
        """Commit with others, as their leader or as a follower."""
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
        """Wait until the write is done or this writer becomes the leader."""
        try:
            called = entry.called.wait(deadlines.left())
        except BaseException:  # killed
            self._leave(entry)
            raise
        if not called:
            self._leave(entry)
            raise NoAnswer("the database did not answer in time")

    def _leave(self, entry: _Entry) -> None:
        """Leave before the write is done; if this writer is the leader by now, pass the lead on."""
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
            if self._last > 1:
                time.sleep(GATHER_SECONDS)
            time.sleep(0)  # timers come before greenlets that can run: let these join, too
            batch = self._gather(leader)
            self._last = len(batch)
            self._write(batch)
        finally:
            # If the leader is killed, these wait again. A COMMIT whose answer it did not hear may
            # have written them: their leases are then lost, which refuses a second time.
            self._pass_on(leader, [entry for entry in batch[1:] if not entry.written])
            for entry in batch:
                if entry.written:
                    entry.called.set()

    def _gather(self, leader: _Entry) -> list[_Entry]:
        """Take the leader and the writes that join it out of the waiting ones.

        If the database locks rows, only writes of one kind join: each kind has its own lock order.
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
        """Make the next writer the leader: one that led again would keep its own run waiting."""
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
                entry.finish(result)
            except Exception as error:
                # a refusal comes at once, and may mean this write alone: the others are tried
                stops = fault(error) in (Fault.AWAY, Fault.BUSY)
                for failed in batch[place:] if stops else [entry]:
                    failed.finish(error=error)
                if stops:
                    return

    def _together(self, batch: list[_Entry]) -> bool:
        """Write all in one transaction; say whether each write has its result or error."""
        try:
            with self._db.transaction() as tx:
                written = [(entries, _of(entries)(tx)) for entries in _kinds(batch)]
        except InngestPyError:  # such as a lost lease of one of them: each is tried alone
            return False
        except Exception as error:
            if fault(error) is Fault.AWAY:
                for entry in batch:
                    entry.finish(error=error)
                return True
            if fault(error) is None:  # log it: each may succeed alone, and hide the error
                observe.event("commit.apart", level=30, writes=len(batch), **logged(error))
            return False
        for entries, results in written:
            for entry, result in zip(entries, results, strict=True):
                entry.finish(result)
        return True


def _of(entries: Sequence[_Entry]) -> Callable[[Connection], Sequence[object]]:
    """Make one write of entries of one kind."""
    return lambda tx: entries[0].write_all(tx, [entry.value for entry in entries])


def _kinds(batch: Sequence[_Entry]) -> list[list[_Entry]]:
    """Split a batch by functions, in the same order in every process; each part by key."""
    kinds: dict[str, list[_Entry]] = {}
    for entry in sorted(batch, key=lambda entry: (entry.write_all.__qualname__, entry.key)):
        kinds.setdefault(entry.write_all.__qualname__, []).append(entry)
    return list(kinds.values())
