"""The one connection of a process that writes to SQLite.

Writers of a process take turns by a lock: a greenlet that waited inside SQLite would block the hub
that runs the writer before it. SQLite's own wait for another process's lock sleeps in C and would
stop all greenlets, too, so writers wait here.

The connection is kept, as a transaction on it costs 20 µs, and 100 with one from the pool.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from . import deadlines
from .driver_errors import wrapped
from .outages import Fault, NoAnswer, fault

AtEnd = Callable[[bool], None]
_BUSY_SECONDS = 30.0
_CLOSE_SECONDS = 1.0
_SHORTEST_WAIT, _LONGEST_WAIT = 0.002, 0.05


class SqliteWriter:
    """Runs the writing transactions of a process, one at a time; safe across threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.lock = threading.RLock()
        self._kept: Connection | None = None
        self._options: Mapping[str, object] = {}
        self._at_end: list[AtEnd] = []  # of the transaction that runs

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction; commits at the end, rolls back on an exception.

        Raises NoAnswer when the deadline comes before this process's other writers are done.
        """
        committed, calls = False, list[AtEnd]()
        self._wait_for_writers()
        try:
            connection = self._connection()
            try:
                with connection.begin():
                    yield connection
                committed = True
                if connection.get_execution_options() is not self._options:
                    self._drop()  # what a transaction notes there holds for it alone
            except BaseException:
                self._drop()
                raise
            finally:
                calls, self._at_end[:] = self._at_end[:], []
        finally:
            self.lock.release()
            for call in calls:
                call(committed)

    def _wait_for_writers(self) -> None:
        """Take the lock, after other writers, which may wait for another process."""
        left = deadlines.left()
        if not self.lock.acquire(timeout=-1 if left is None else left):
            raise NoAnswer("other writers did not end in time")

    def _connection(self) -> Connection:
        if self._kept is None:
            opened = self._engine.connect()
            self._kept = opened.execution_options(writes=True, at_end=self._at_end)
            self._options = self._kept.get_execution_options()
        return self._kept

    def _drop(self) -> None:
        """Give the connection back: the pool knows whether it can be used again."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def close(self) -> None:
        """Close the connection, unless a transaction hangs; a later one opens another."""
        if self.lock.acquire(timeout=_CLOSE_SECONDS):
            try:
                self._drop()
            finally:
                self.lock.release()


def begin(connection: Connection) -> None:
    """Begin a transaction on SQLite: to write if the connection is a writer's.

    Raises DBAPIError; Fault.BUSY when it takes too long to wait for other processes.
    """
    if connection.get_execution_options().get("writes", False):
        _begin_writing(connection)
    else:
        _run(connection, "BEGIN")


def _begin_writing(connection: Connection) -> None:
    """Begin to write, waiting for other processes in Python's sleep, which lets greenlets run."""
    left = deadlines.left()
    deadline = time.monotonic() + (_BUSY_SECONDS if left is None else min(left, _BUSY_SECONDS))
    delay = _SHORTEST_WAIT
    while True:
        try:
            _run(connection, "BEGIN IMMEDIATE")
        except DBAPIError as error:
            if fault(error) is not Fault.BUSY or time.monotonic() > deadline:
                raise
        else:
            return
        time.sleep(delay)
        delay = min(delay * 2, _LONGEST_WAIT)


def _run(connection: Connection, sql: str) -> None:
    """Run a statement without SQLAlchemy, whose way costs 40 µs. Raises DBAPIError."""
    driver, dialect = connection.connection.dbapi_connection, connection.dialect
    assert driver is not None
    try:
        driver.cursor().execute(sql)
    except dialect.loaded_dbapi.Error as error:
        raise wrapped(dialect, sql, error) from error


def at_end(tx: Connection, call: AtEnd) -> None:
    """Call a function at the end of this transaction, with whether it was committed.

    It must neither raise nor wait: others may share the commit. On SQLite only.
    """
    tx.get_execution_options()["at_end"].append(call)


@contextmanager
def savepoint(tx: Connection) -> Iterator[None]:
    """Undo what is written within it, and nothing else, on an exception. On SQLite only."""
    _run(tx, "SAVEPOINT part")
    try:
        yield
    except BaseException:
        with suppress(DBAPIError):  # a full disk has undone the whole transaction by itself
            _run(tx, "ROLLBACK TO part")
            _run(tx, "RELEASE part")
        raise
    _run(tx, "RELEASE part")
