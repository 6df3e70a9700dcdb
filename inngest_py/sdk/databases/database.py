"""What is done with a database of an app, whichever library the app reaches it by."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")
DIALECTS = ("postgresql", "mysql", "sqlite")
# PostgreSQL: a serialization failure, a deadlock. MySQL: a deadlock; MariaDB: a row that has
# changed since the snapshot.
_CONFLICTS = {"40001", "40P01", 1213, 1020}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave."""

    rows: Sequence[Sequence[object]] = ()
    count: int = 0
    """How many rows it found or changed."""


class Execute(Protocol):
    """Runs a statement in an open transaction; its values are written `:name`."""

    def __call__(self, sql: str, values: Mapping[str, object] | None = None, /) -> Answer:
        """Run it; the library's own errors go through."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction that is open."""

    dialect: str
    """One of DIALECTS."""
    execute: Execute
    handles: tuple[object, ...]
    """What the app's code works with: a session or a connection; nothing with Django."""
    guard: Callable[[], AbstractContextManager[None]]
    """While it is entered, a commit is an error: the app's code would split the transaction."""


class Database(Protocol):
    """A database, by a library that blocks, or by the blocking inside of an async one."""

    is_async: bool
    """Whether the app's code awaits: then all of this is called inside of `run`."""

    def begin(self) -> AbstractContextManager[Transaction]:
        """Open a transaction, which ends with the block: an error rolls it back.

        Raises ValueError if one is open already, or if there are none here (autocommit).
        """

    async def run(self, work: Callable[[], T]) -> T:
        """Run code that uses this database, from async code."""

    def apart(self) -> "Database | None":
        """Make one for a thread of our own, with connections of its own.

        None for a database in memory, which all threads use by one connection.
        """

    def run_here(self, work: Callable[[], T]) -> T:
        """Run the code of a thread of our own, and close its connections; for one from apart()."""

    def wait(self, awaitable: Awaitable[T]) -> T:
        """Wait for async code of the app, inside of `run`, if it is async."""

    def is_duplicate(self, error: Exception) -> bool:
        """Whether a unique key, or another rule of the schema, refused the row."""

    def is_of_database(self, error: Exception) -> bool:
        """Whether the database or its driver is the cause."""

    def has_table(self, name: str) -> bool:
        """Whether the table is there."""


def dialect_named(name: str, argument: str) -> str:
    """Return the dialect, MariaDB's as mysql. Raises ValueError for one that is not supported."""
    found = {"mariadb": "mysql"}.get(name, name)
    if found not in DIALECTS:
        known = "PostgreSQL, MySQL, MariaDB or SQLite"
        raise ValueError(f"{argument}: the database must be {known}, not {name}")
    return found


def is_conflict(error: BaseException) -> bool:
    """Whether a transaction was rolled back because of another: it may be tried again at once."""
    causes = [error, error.__cause__, getattr(error, "orig", None)]
    codes: set[object] = set()
    for cause in filter(None, causes):
        codes |= {getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None)}
        codes |= {code for code in cause.args[:1] if isinstance(code, int)}
    return bool(codes & _CONFLICTS)


class OpenTransaction(Protocol):
    """The transaction that the app's code has open."""

    def run(self, work: "Callable[[Execute], T]") -> "T | Awaitable[T]":
        """Do the work in it; with an async library, await it."""

    def on_commit(self, listener: Callable[..., None]) -> None:
        """Call the listener when it is committed, or just before."""
