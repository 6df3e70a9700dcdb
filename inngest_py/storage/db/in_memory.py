"""A SQLite database in memory whose whole content can be kept and put back.

A test gets a fresh database by a copy of some hundred kilobytes: nothing is opened or compiled
again.
"""

import sqlite3
from typing import cast

from .session import Database


class InMemory(Database):
    """A database in memory, on one connection, which its users share by turns."""

    def __init__(self) -> None:
        super().__init__("sqlite://", synchronous="OFF")

    def copy_to(self, other: sqlite3.Connection) -> None:
        """Copy the whole content to another connection. Not within a transaction."""
        self._driver().backup(other)

    def copy_from(self, other: sqlite3.Connection) -> None:
        """Replace the whole content by that of another connection. Not within a transaction.

        deserialize() would be as quick, and crashes the process where a statement of the
        connection is prepared (SQLite 3.40).
        """
        other.backup(self._driver())

    def _driver(self) -> sqlite3.Connection:
        with self.reading() as tx:
            return cast(sqlite3.Connection, tx.connection.driver_connection)
