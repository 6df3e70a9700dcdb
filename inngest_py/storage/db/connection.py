"""Connections to PostgreSQL that save round trips.

What needs no answer waits for what does, and both leave in one message: BEGIN with the first
statement, statements that later() takes with the next one or with COMMIT. Each still has a snapshot
of its own, and what fails of them fails the transaction: its error comes with that next message.
"""

from collections.abc import Iterable
from typing import Any

from psycopg2 import extensions
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_UNKNOWN

from . import sockets
from .clock import Clock
from .server_limits import Limits

_CLOSED = (TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_UNKNOWN)


class Cursor(extensions.cursor):
    """A cursor whose statements take along what waits on its connection."""

    connection: "Pipelined"

    def execute(self, query: Any, vars: Any = None) -> None:
        """Run a statement behind those that wait; the cursor then has its result."""
        waiting = self.connection.take()
        if waiting:
            super().execute(waiting + self.mogrify(query, vars))
        else:
            super().execute(query, vars)

    def executemany(self, query: Any, vars_list: Iterable[Any]) -> None:
        """Run a statement for each of many parameters, behind those that wait."""
        waiting = self.connection.take()
        if waiting:
            super().execute(waiting)
        super().executemany(query, vars_list)


class Pipelined(extensions.connection):
    """A connection that sends its own BEGIN and COMMIT.

    With `begins` off, statements are not part of a transaction, as readers want it who would have
    a snapshot a statement anyhow. `patience` is how long an answer is waited for, in seconds.
    """

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        self.waiter = sockets.waiter()
        self.patience = limits.connect or None
        super().__init__(*args, **kwargs)
        self.cursor_factory = Cursor
        self.begins = True
        self._limits = limits
        self._begin = b"BEGIN"
        self._waiting: list[bytes] = []
        self.autocommit = True  # as the driver has it: it leaves BEGIN to us

    def introduce(self, clock: Clock) -> None:
        """Compare clocks with the server, and tell it how long it may take.

        A pool that has one server's session serve many clients in turn, as PgBouncer does, shows
        in the session's process id, which it makes up. Settings of a session would then be
        others', too: so there each transaction begins with its own.
        """
        self.begins = False
        with self.cursor() as cursor:
            before = clock.wall()
            cursor.execute("SELECT pg_backend_pid(), clock_timestamp()")
            [(process, theirs)] = cursor.fetchall()
            clock.compare(before, theirs, clock.wall())
            settings = self._limits.settings().items()
            if process == self.info.backend_pid:
                cursor.execute(";".join(f"SET {name} = {value}" for name, value in settings))
            else:
                local = (f"SET LOCAL {name} = {value}" for name, value in settings)
                self._begin = ";".join(["BEGIN", *local]).encode()
        self.begins = True
        self.patience = self._limits.patience

    def take_your_time(self) -> None:
        """Let statements of this transaction take as long as they need."""
        self.later("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        self.patience = None

    def close(self) -> None:
        """Close the connection."""
        super().close()
        self.waiter.close()

    def later(self, sql: str, values: Any = None) -> None:
        """Take a statement of the transaction whose result nobody needs."""
        with self.cursor() as cursor:
            self._waiting.append(cursor.mogrify(sql, values))

    def take(self) -> bytes:
        """Give what has to go ahead of the next statement, and forget it."""
        waiting, self._waiting = self._waiting, []
        if self.begins and self.get_transaction_status() == TRANSACTION_STATUS_IDLE:
            waiting.insert(0, self._begin)
        return b"".join(part + b";" for part in waiting)

    def commit(self) -> None:
        """Send what waits, and commit; nothing where nothing was begun."""
        if self._waiting or self.get_transaction_status() not in _CLOSED:
            self._say("COMMIT")

    def rollback(self) -> None:
        """Forget what waits, and roll back; nothing where nothing was begun."""
        self._waiting.clear()
        if self.get_transaction_status() not in _CLOSED:
            self._say("ROLLBACK")

    def set_isolation_level(self, level: int | None) -> None:
        """Leave transactions out or have them, as SQLAlchemy asks for by this name."""
        self.begins = level != extensions.ISOLATION_LEVEL_AUTOCOMMIT

    def _say(self, word: str) -> None:
        with self.cursor() as cursor:
            cursor.execute(word)
        self.patience = self._limits.patience
