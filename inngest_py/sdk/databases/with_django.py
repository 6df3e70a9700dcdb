"""Django's databases, by their names in DATABASES."""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import DatabaseError, IntegrityError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from .database import Answer, Execute, Transaction, dialect_named

T = TypeVar("T")
_VALUE = re.compile(r":(\w+)")


class Django:
    """A database of a Django project (see `Database`)."""

    is_async = False

    def __init__(self, alias: str, argument: str, *, in_own_thread: bool = False) -> None:
        """Take the name of a database. Raises ValueError if there is none of that name."""
        self.alias, self._argument, self._in_own_thread = alias, argument, in_own_thread
        if alias not in connections.settings:
            known = ", ".join(connections.settings)
            raise ValueError(f"{argument}: DATABASES has no {alias!r}: it has {known}")

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """Open a transaction."""
        connection = connections[self.alias]
        dialect = dialect_named(connection.vendor, self._argument)
        if not connection.in_atomic_block:
            if self._in_own_thread and connection.settings_dict["CONN_MAX_AGE"] == 0:
                # Django's default, one for each request: here it would be one for each transaction
                connection.close_at = None
            connection.close_if_unusable_or_obsolete()
            if not connection.get_autocommit():
                raise ValueError(f"{self._argument}: autocommit is off: turn it on")
        with ExitStack() as block:
            try:
                block.enter_context(transaction.atomic(using=self.alias, durable=True))
            except RuntimeError:
                fix = "leave atomic() before (ATOMIC_REQUESTS: mark the view non_atomic_requests)"
                text = f"{self._argument}: {self.alias!r} has an open transaction: {fix}"
                raise ValueError(text) from None
            yield Transaction(dialect, _executing(connection), (), nullcontext)

    async def run(self, work: Callable[[], T]) -> T:
        """Run blocking code in the thread that Django keeps for it."""
        found: T = await sync_to_async(work, thread_sensitive=True)()
        return found

    def apart(self) -> "Django | None":
        """Make one that keeps its connection: each thread has connections of its own."""
        connection = connections[self.alias]
        in_memory = connection.vendor == "sqlite" and connection.is_in_memory_db()
        return None if in_memory else Django(self.alias, self._argument, in_own_thread=True)

    def run_here(self, work: Callable[[], T]) -> T:
        """Run the code, and close the thread's connection."""
        try:
            return work()
        finally:
            connections[self.alias].close()

    def wait(self, awaitable: Awaitable[T]) -> T:
        """Django's transactions are not async."""
        raise NotImplementedError

    def is_duplicate(self, error: Exception) -> bool:
        """Whether the row was refused."""
        return isinstance(error, IntegrityError)

    def is_of_database(self, error: Exception) -> bool:
        """Whether Django raised it for the database."""
        return isinstance(error, DatabaseError)

    def has_table(self, name: str) -> bool:
        """Whether the table is there."""
        return name in connections[self.alias].introspection.table_names()


def _executing(connection: BaseDatabaseWrapper) -> Execute:
    def execute(sql: str, values: Mapping[str, object] | None = None) -> Answer:
        with connection.cursor() as cursor:
            # Django takes this form for all of its databases
            cursor.execute(_VALUE.sub(r"%(\1)s", sql), values)
            rows = cursor.fetchall() if cursor.description else []
            return Answer([tuple(row) for row in rows], cursor.rowcount)

    return execute


class OpenAtomic:
    """The `atomic()` that the app's code is in (see `OpenTransaction`)."""

    def __init__(self, alias: str, argument: str) -> None:
        """Take the name of a database. Raises ValueError if no transaction is open there."""
        self._alias = Django(alias, argument).alias
        connection = connections[alias]
        if not connection.in_atomic_block and connection.get_autocommit():
            fix = "call this inside transaction.atomic()"
            raise ValueError(f"{argument}: {alias!r} has no open transaction: {fix}")

    def run(self, work: Callable[[Execute], T]) -> T:
        """Do the work in it."""
        return work(_executing(connections[self._alias]))

    def on_commit(self, listener: Callable[..., None]) -> None:
        """Call the listener when it was committed; what it raises disturbs nobody."""
        if connections[self._alias].in_atomic_block:
            transaction.on_commit(listener, using=self._alias, robust=True)
