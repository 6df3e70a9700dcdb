"""Connections and transactions of both databases, and statements that differ between them.

On SQLite, one connection of this process writes, with BEGIN IMMEDIATE (see sqlite_writer). Reads
use plain BEGIN.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVarTuple, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    LargeBinary,
    Select,
    Table,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy import cast as cast_to
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import StaticPool

from ... import observe
from . import sqlite_writer
from .clock import Clock
from .columns import Base
from .dialects import is_sqlite
from .outages import Outage
from .pools import PoolSize
from .row_types import Parameters, RowValues, Statement
from .server_limits import ServerLimits
from .sqlite_writer import SqliteWriter

if TYPE_CHECKING:
    from .connection import Pipelined

Columns = TypeVarTuple("Columns")
_CLOCK = select(func.clock_timestamp())
# How long to wait for a connection of the pool before that counts as an outage.
_POOL_SECONDS = 5
_POOL = PoolSize(kept=20, most=40)
# SQLite's own wait, in C. Readers need it, rarely and for a moment.
_BUSY_MS = 20
_BUSY_SECONDS = 30.0


def sqlite_file(url: URL) -> Path | None:
    """Return the file of SQLite that a URL names; None in memory, and for PostgreSQL."""
    name = url.database
    if url.get_backend_name() != "sqlite" or not name or name == ":memory:":
        return None
    return None if name.startswith("file:") else Path(name)


class Database:
    """An engine and the ways to use it. One per process, never shared over a fork."""

    def __init__(
        self,
        url: str,
        *,
        synchronous: str = "FULL",
        pool: PoolSize = _POOL,
        limits: ServerLimits | None = None,
    ) -> None:
        self.url: URL = make_url(url)
        self.clock = Clock()
        self._limits = limits or ServerLimits()
        if self.url.drivername == "postgresql":
            # SQLAlchemy 2.1 reads postgresql:// as psycopg 3, but Pipelined is for psycopg2
            self.url = self.url.set(drivername="postgresql+psycopg2")
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.locks_rows = not self.is_sqlite  # SQLite has one writer at a time
        self.written = threading.Event()  # set by every commit of this process on SQLite
        self.outage = Outage()
        self.engine = (
            self._sqlite(synchronous) if self.is_sqlite else self._postgres(pool, self._limits)
        )
        self._writer = SqliteWriter(self.engine)  # not used on PostgreSQL

    @property
    def file(self) -> Path | None:
        """The file of SQLite; None in memory, and on PostgreSQL."""
        return sqlite_file(self.url)

    def make_folder(self) -> None:
        """Make the folder of SQLite's file. Raises OSError."""
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)

    def _postgres(self, pool: PoolSize, limits: ServerLimits) -> Engine:
        from . import sockets  # psycopg2 takes 5 MB, which SQLite does not need
        from .connection import Pipelined

        sockets.install()
        engine = create_engine(
            self.url,
            pool_size=pool.kept,
            max_overflow=pool.most - pool.kept,
            pool_timeout=_POOL_SECONDS,
            pool_pre_ping=False,
            pool_recycle=1800,
            pool_use_lifo=True,
            hide_parameters=True,  # items hold keys, and errors are logged
            connect_args={
                "application_name": "inngest-py",
                "connection_factory": partial(Pipelined, limits=limits),
                **limits.arguments(self.url.query),
            },
        )

        @event.listens_for(engine, "connect")
        def _set_up(connection: "Pipelined", _record: object) -> None:
            connection.set_up(self.clock)

        return engine

    def _sqlite(self, synchronous: str) -> Engine:
        memory = self.url.database in (None, "", ":memory:")
        extra: RowValues = {"poolclass": StaticPool} if memory else {"pool_size": 8}
        engine = create_engine(
            self.url,
            connect_args={"check_same_thread": False, "timeout": _BUSY_SECONDS},
            hide_parameters=True,
            **extra,
        )

        @event.listens_for(engine, "connect")
        def _set_up(connection: Any, _record: object) -> None:
            connection.isolation_level = None  # our own BEGIN, not the driver's
            cursor = connection.cursor()
            for pragma in (
                "journal_mode=WAL",
                f"synchronous={synchronous}",
                "foreign_keys=ON",
                "temp_store=MEMORY",
                "cache_size=-32000",
                "journal_size_limit=67108864",
                f"busy_timeout={_BUSY_MS}",  # last: the first of these may have to wait long
            ):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

        event.listen(engine, "begin", sqlite_writer.begin)
        return engine

    def without_time_limits(self) -> "Database":
        """Open PostgreSQL's database once more, for statements that may take hours."""
        limits = replace(self._limits, statement=0, lock=0)
        return Database(self.url.render_as_string(hide_password=False), limits=limits)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a writing transaction; commits at the end, rolls back on an exception.

        Log events of the transaction are written after its commit. On SQLite, raises NoAnswer when
        the deadline comes before this process's other writers are done.
        """
        if not self.is_sqlite:
            with observe.EventsAfterCommit(), self.engine.begin() as connection:
                yield connection
            return
        with observe.EventsAfterCommit():
            with self._writer.transaction() as connection:
                yield connection
            self.written.set()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection to read from. On PostgreSQL it is in no transaction."""
        if not self.is_sqlite:
            with self.engine.connect() as connection:
                driver = _pipelined(connection)
                driver.begins = False
                try:
                    yield connection
                finally:
                    driver.begins = True
            return
        if isinstance(self.engine.pool, StaticPool):
            # one shared connection: a read must not become part of another greenlet's write
            with self._writer.lock, self.engine.connect() as connection:
                yield connection
            return
        with self.engine.connect() as connection:
            yield connection

    def compare_clocks(self) -> None:
        """Measure again how far this machine's clock is from PostgreSQL's."""
        if self.is_sqlite:
            return
        with self.reading() as tx:
            before = self.clock.wall()
            theirs = tx.execute(_CLOCK).scalar_one()
            self.clock.compare(before, theirs, self.clock.wall())

    def create_all(self) -> None:
        """Create every table at once, for a database that lives in memory."""
        with self._writer.lock:
            Base.metadata.create_all(self.engine)

    def close(self) -> None:
        """Close the pooled connections."""
        self._writer.close()
        self.engine.dispose()


def later(tx: Connection, sql: str, values: Parameters = None) -> None:
    """Send a statement to PostgreSQL with the transaction's next one, or with COMMIT.

    Its result is dropped. If it fails, the transaction fails.
    """
    _pipelined(tx).later(sql, values)


def commit_soon(tx: Connection) -> None:
    """Let PostgreSQL answer this transaction's COMMIT before it is on the disk.

    A crash of the database within about a second may undo the whole transaction. Use it only for
    changes that would then be made again. A later commit that waits for the disk makes this one
    durable, too.
    """
    if not is_sqlite(tx):
        later(tx, "SET LOCAL synchronous_commit = off")


def is_shared(tx: Connection) -> bool:
    """Say whether a pooler such as PgBouncer shares PostgreSQL's sessions among clients."""
    return not is_sqlite(tx) and _pipelined(tx).is_shared


def _pipelined(tx: Connection) -> "Pipelined":
    return cast("Pipelined", tx.connection.dbapi_connection)


def lift_time_limits(tx: Connection) -> None:
    """Lift the time limits of this transaction's statements, for commands and migrations.

    Statements that follow on the connection are one transaction.
    """
    if not is_sqlite(tx):
        _pipelined(tx).begins = True
        _pipelined(tx).lift_time_limits()


def limit_locks(tx: Connection, seconds: float) -> None:
    """Let PostgreSQL end a statement of this transaction that waits longer for a lock."""
    if not is_sqlite(tx):
        later(tx, f"SET LOCAL lock_timeout = {round(seconds * 1000)}")


def limit_time(tx: Connection, most: timedelta) -> None:
    """Limit how long a statement may take, on PostgreSQL; see outages.too_long().

    Statements that follow on the connection are one transaction.
    """
    if not is_sqlite(tx):
        _pipelined(tx).begins = True
        later(tx, f"SET LOCAL statement_timeout = {most // timedelta(milliseconds=1)}")


def insert(tx: Connection, table: Table | type[Base]) -> sqlite.Insert | postgresql.Insert:
    """Begin an INSERT that knows ON CONFLICT, in the connection's dialect."""
    return sqlite.insert(table) if is_sqlite(tx) else postgresql.insert(table)


def upsert(
    tx: Connection,
    table: Table | type[Base],
    values: RowValues,
    *,
    keys: Sequence[str],
    keep: Sequence[str] = (),
) -> Statement:
    """Build an INSERT that replaces the row with the same keys, except the columns in `keep`."""
    statement = insert(tx, table).values(values)
    replaced = {name: statement.excluded[name] for name in values if name not in {*keys, *keep}}
    return statement.on_conflict_do_update(index_elements=list(keys), set_=replaced)


def skip_locked(tx: Connection, query: Select[*Columns]) -> Select[*Columns]:
    """Lock the rows and pass over those locked by others; SQLite has one writer anyway."""
    return query if is_sqlite(tx) else past_locked(query)


def past_locked(query: Select[*Columns]) -> Select[*Columns]:
    """Make PostgreSQL's form of skip_locked(), for use after IN.

    PostgreSQL may run a subquery again for every row that it compares, each time skipping the rows
    that it has locked before: LIMIT 3 locked 40. A WITH query that locks runs once.
    """
    return select(*query.with_for_update(skip_locked=True).cte("taken").c)


def byte_length(tx: Connection, text: ColumnElement[str]) -> ColumnElement[int]:
    """Count the bytes of a column of text, where length() counts characters."""
    if is_sqlite(tx):
        return func.length(cast_to(text, LargeBinary))
    return func.octet_length(text)
