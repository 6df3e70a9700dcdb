"""SQLAlchemy's engines, sessions and their makers, blocking and async.

An async one is used through its blocking inside: SQLAlchemy runs that in a greenlet, where
`await_only` waits for a coroutine. So there is one way for both.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

import sqlalchemy
from sqlalchemy import event, exc
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import SingletonThreadPool, StaticPool
from sqlalchemy.util import await_only, greenlet_spawn

from .database import Answer, Execute, Transaction, dialect_named

T = TypeVar("T")
_Opened = AbstractContextManager[tuple[object, Connection]]
_ASYNC = (AsyncEngine, AsyncSession, async_sessionmaker, async_scoped_session)
_NO_COMMIT = "the code of a transaction must not commit: that is done when it has returned"
_NO_ROLLBACK = "the code of a transaction must not roll it back: raise an error for that"


class Sqlalchemy:
    """A database by SQLAlchemy (see `Database`)."""

    def __init__(self, target: object, argument: str) -> None:
        """Take an engine, a session or a maker of sessions. Raises TypeError."""
        self._given, self._argument = target, argument
        self.is_async = isinstance(target, _ASYNC)
        self._open = _opener(target, argument)

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """Open a transaction."""
        with self._open() as (handle, connection):
            dialect = dialect_named(connection.engine.name, self._argument)
            if connection._is_autocommit_isolation():
                fix = "pass an engine with another isolation level"
                raise ValueError(f"{self._argument}: AUTOCOMMIT has no transactions: {fix}")
            execute = _executing(connection)
            yield Transaction(dialect, execute, (handle,), lambda: _guard(handle, connection))

    async def run(self, work: Callable[[], T]) -> T:
        """Run blocking code: that of an async library in a greenlet, other in a thread."""
        if self.is_async:
            return await greenlet_spawn(work)
        return await asyncio.to_thread(work)

    def apart(self) -> "Sqlalchemy | None":
        """Make one for another thread: with the same engine, or an own one if it is async."""
        engine = _engine_of(self._given)
        if isinstance(engine.pool, StaticPool | SingletonThreadPool):
            return None
        if engine.name != "sqlite":  # MySQL's own level would lock the gaps that others insert into
            engine = engine.execution_options(isolation_level="READ COMMITTED")
        if not self.is_async:
            return Sqlalchemy(engine, self._argument)
        # connections of an async driver belong to the event loop in which they were made
        own = Engine(engine.pool.recreate(), engine.dialect, engine.url)
        own = own.execution_options(**engine.get_execution_options())
        return Sqlalchemy(AsyncEngine(own), self._argument)

    def run_here(self, work: Callable[[], T]) -> T:
        """Run the code, an async library's in an event loop of its own."""
        return asyncio.run(self._run_and_close(work)) if self.is_async else work()

    async def _run_and_close(self, work: Callable[[], T]) -> T:
        def closing() -> T:
            try:
                return work()
            finally:
                _engine_of(self._given).dispose()

        return await greenlet_spawn(closing)

    def wait(self, awaitable: Awaitable[T]) -> T:
        """Wait for the app's async code, inside of `run`."""
        return await_only(awaitable)

    def is_duplicate(self, error: Exception) -> bool:
        """Whether the row was refused."""
        return isinstance(error, exc.IntegrityError)

    def is_of_database(self, error: Exception) -> bool:
        """Whether SQLAlchemy raised it for the database."""
        return isinstance(error, exc.DBAPIError)

    def has_table(self, name: str) -> bool:
        """Whether the table is there."""
        with self._open() as (_, connection):
            return sqlalchemy.inspect(connection).has_table(name)


def _opener(target: object, argument: str) -> Callable[[], _Opened]:
    """Find how a transaction is opened: each time, the app's handle and the connection under it."""
    if isinstance(target, Engine):
        return lambda: _of_engine(target, lambda connection: connection)
    if isinstance(target, AsyncEngine):
        return lambda: _of_engine(
            target.sync_engine, lambda connection: AsyncConnection(target, connection)
        )
    if isinstance(target, sessionmaker | async_sessionmaker):
        return lambda: _of_maker(target)
    if isinstance(target, scoped_session | async_scoped_session):
        return lambda: _of_session(target(), argument)
    if isinstance(target, Session | AsyncSession):
        return lambda: _of_session(target, argument)
    wanted = (
        "an engine, a session or a sessionmaker of SQLAlchemy, or the name of a Django database"
    )
    raise TypeError(f"{argument}: must be {wanted}, not {type(target).__name__}")


def _engine_of(target: object) -> Engine:
    """Find the engine of what the app passed, without a connection."""
    if isinstance(target, AsyncEngine):
        return target.sync_engine
    if isinstance(target, Engine):
        return target
    made = target if isinstance(target, Session | AsyncSession) else target()  # type: ignore[operator]
    return _blocking(made).get_bind().engine


@contextmanager
def _of_engine(
    engine: Engine, shown: Callable[[Connection], object]
) -> Iterator[tuple[object, Connection]]:
    with engine.begin() as connection:
        yield shown(connection), connection


@contextmanager
def _of_maker(
    maker: "sessionmaker[Session] | async_sessionmaker[AsyncSession]",
) -> Iterator[tuple[object, Connection]]:
    handle = maker()
    with _blocking(handle) as session, session.begin():
        yield handle, session.connection()


@contextmanager
def _of_session(
    handle: Session | AsyncSession, argument: str
) -> Iterator[tuple[object, Connection]]:
    session = _blocking(handle)
    bind = session.bind
    if session.in_transaction() or (isinstance(bind, Connection) and bind.in_transaction()):
        fix = "commit it before the step, or pass the engine or a sessionmaker"
        raise ValueError(f"{argument}: the session has an open transaction: {fix}")
    with session.begin():
        yield handle, session.connection()


def _blocking(session: Session | AsyncSession) -> Session:
    return session.sync_session if isinstance(session, AsyncSession) else session


def _executing(connection: Connection) -> Execute:
    def execute(sql: str, values: Mapping[str, object] | None = None) -> Answer:
        found = connection.execute(sqlalchemy.text(sql), values)
        rows = [tuple(row) for row in found] if found.returns_rows else []
        return Answer(rows, found.rowcount)

    return execute


@contextmanager
def _guard(handle: object, connection: Connection) -> Iterator[None]:
    """Refuse that the app's code ends the transaction; savepoints stay possible."""
    session = _blocking(handle) if isinstance(handle, Session | AsyncSession) else None
    target, name = (connection, "commit") if session is None else (session, "before_commit")

    def refuse(source: Session | Connection) -> None:
        if source.in_nested_transaction():
            return
        # SQLAlchemy takes a connection's transaction for ended now, whatever is raised here
        connection.connection.rollback()
        raise ValueError(_NO_COMMIT)

    event.listen(target, name, refuse)
    try:
        yield
    finally:
        event.remove(target, name, refuse)
    if not connection.in_transaction():
        raise ValueError(_NO_ROLLBACK)


class OpenOfSqlalchemy:
    """The transaction of a session or connection (see `OpenTransaction`)."""

    def __init__(self, handle: Session | AsyncSession | Connection | AsyncConnection) -> None:
        """Take what the app works with."""
        self._is_async = isinstance(handle, AsyncSession | AsyncConnection)
        if isinstance(handle, AsyncConnection):
            self._target: Session | Connection = handle.sync_connection or _not_open()
        elif isinstance(handle, Connection):
            self._target = handle
        else:
            self._target = _blocking(handle)

    def run(self, work: Callable[[Execute], T]) -> T | Awaitable[T]:
        """Do the work in it; a transaction begins if none has begun."""
        return greenlet_spawn(self._run, work) if self._is_async else self._run(work)

    def _run(self, work: Callable[[Execute], T]) -> T:
        target = self._target
        connection = target if isinstance(target, Connection) else target.connection()
        return work(_executing(connection))

    def on_commit(self, listener: Callable[..., None]) -> None:
        """Call the listener after each commit of the session, or before that of the connection."""
        name = "commit" if isinstance(self._target, Connection) else "after_commit"
        if not event.contains(self._target, name, listener):
            event.listen(self._target, name, listener)


def _not_open() -> Connection:
    raise ValueError("session: the connection is not open")


def open_transaction(target: object, argument: str) -> OpenOfSqlalchemy:
    """Find it. Raises TypeError for what has no transaction."""
    if isinstance(target, scoped_session | async_scoped_session):
        target = target()
    if isinstance(target, Session | AsyncSession | Connection | AsyncConnection):
        return OpenOfSqlalchemy(target)
    wanted = "the session or connection that has the transaction's writes"
    raise TypeError(f"{argument}: must be {wanted}, not {type(target).__name__}")
