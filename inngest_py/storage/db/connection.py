"""Connections to PostgreSQL that save round trips.

A statement whose answer nobody needs is sent in one message with the next statement: BEGIN with
the first one, statements given to later() with the next one or with COMMIT. Each statement still
has a snapshot of its own. If one of them fails, the transaction fails, and the error comes with the
answer to that message.

Written against psycopg2 2.9 and SQLAlchemy 2.1: a cursor sends a text of several statements in one
message and has the last one's result; with `autocommit` psycopg2 sends no BEGIN; and SQLAlchemy
begins nothing itself, but calls `commit()`, `rollback()` and `set_isolation_level()` of the
connection.
"""

from collections.abc import Iterable
from typing import Any

from psycopg2 import extensions
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_UNKNOWN
from psycopg2.sql import Composable

from . import sockets
from .clock import Clock
from .row_types import Parameters
from .server_limits import ServerLimits

_CLOSED = (TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_UNKNOWN)


class Cursor(extensions.cursor):
    """A cursor that sends the statements that wait on its connection ahead of its own."""

    connection: "Pipelined"

    def execute(self, query: str | bytes | Composable, vars: Parameters = None) -> None:
        """Run a statement after those that wait; the cursor then has its result."""
        waiting = self.connection.pop_waiting()
        if waiting:
            super().execute(waiting + self.mogrify(query, vars))
        else:
            super().execute(query, vars)

    def executemany(self, query: str | bytes | Composable, vars_list: Iterable[Parameters]) -> None:
        """Run a statement for each set of parameters, after the statements that wait."""
        waiting = self.connection.pop_waiting()
        if waiting:
            super().execute(waiting)
        super().executemany(query, vars_list)


class Pipelined(extensions.connection):
    """A connection that sends its own BEGIN and COMMIT.

    With `begins` off, statements are not part of a transaction. Readers use that: they would have
    one snapshot per statement anyway. `patience` is how many seconds to wait for an answer.
    """

    def __init__(self, *args: Any, limits: ServerLimits, **kwargs: Any) -> None:
        self.waiter = sockets.waiter()
        self.patience = limits.connect or None
        super().__init__(*args, **kwargs)
        self.cursor_factory = Cursor
        self.begins = True
        self._limits = limits
        self._begin = b"BEGIN"
        self.is_shared = False  # a pooler gives the server's sessions to others, too
        self._waiting: list[bytes] = []
        self.autocommit = True  # the driver's own setting: it sends no BEGIN, we do

    def set_up(self, clock: Clock) -> None:
        """Compare clocks with the server, and set its time limits.

        A pooler such as PgBouncer shares one server session among many clients. It reports a
        process id that it made up, which shows that it is there. Settings of the session would
        then apply to other clients too, so each transaction begins with its own settings.
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
                self.is_shared = True
        self.begins = True
        self.patience = self._limits.patience

    def lift_time_limits(self) -> None:
        """Lift the time limits of this transaction's statements."""
        self.later("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        self.patience = None

    def close(self) -> None:
        """Close the connection."""
        super().close()
        self.waiter.close()

    def later(self, sql: str, values: Parameters = None) -> None:
        """Keep a statement whose result nobody needs, to send it with the next one."""
        with self.cursor() as cursor:
            self._waiting.append(cursor.mogrify(sql, values))

    def pop_waiting(self) -> bytes:
        """Return what has to be sent ahead of the next statement, and forget it."""
        waiting, self._waiting = self._waiting, []
        if self.begins and self.get_transaction_status() == TRANSACTION_STATUS_IDLE:
            waiting.insert(0, self._begin)
        return b"".join(part + b";" for part in waiting)

    def commit(self) -> None:
        """Send what waits, and commit. Does nothing when no transaction has begun."""
        if self._waiting or self.get_transaction_status() not in _CLOSED:
            self._end("COMMIT")

    def rollback(self) -> None:
        """Forget what waits, and roll back. Does nothing when no transaction has begun."""
        self._waiting.clear()
        if self.get_transaction_status() not in _CLOSED:
            self._end("ROLLBACK")

    def set_isolation_level(self, level: int | None) -> None:
        """Turn transactions on or off. SQLAlchemy calls this method by this name."""
        self.begins = level != extensions.ISOLATION_LEVEL_AUTOCOMMIT

    def _end(self, command: str) -> None:
        with self.cursor() as cursor:
            cursor.execute(command)
        self.patience = self._limits.patience
