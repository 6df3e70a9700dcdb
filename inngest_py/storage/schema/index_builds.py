"""Indexes of tables that grow, built while others write to these tables.

CREATE INDEX keeps all writers of its table waiting until it is done, for minutes on a big table.
PostgreSQL's CREATE INDEX CONCURRENTLY keeps nobody waiting, but cannot be part of a transaction. So
a migration asks for its index by build_index(). If the index is missing, the migration is rolled
back, build() builds the index, and the migration runs again.

A build that is cut off leaves an invalid index. The next one drops it and builds it again.
"""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, text

from ... import observe
from ..db.dialects import is_sqlite
from ..db.session import Database

_LOCK = 0x1A7E58  # PostgreSQL's advisory lock: one build at a time
_LOCK_DELAY = 0.5
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:key)")
_IS_BUILT_NOW = text(
    "SELECT count(*) FROM pg_stat_progress_create_index WHERE relid = to_regclass(:table)"
)
_IS_VALID = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")


@dataclass(frozen=True, slots=True)
class NewIndex:
    """An index that a migration wants. Its parts are SQL."""

    name: str
    table: str
    columns: str
    where: str | None
    unique: bool

    def create(self, how: str) -> str:
        """Write the statement that makes it."""
        unique = "UNIQUE " if self.unique else ""
        where = f" WHERE {self.where}" if self.where else ""
        return f"CREATE {unique}INDEX {how}{self.name} ON {self.table} ({self.columns}){where}"


class IndexMissing(Exception):
    """A migration needs an index that has to be built outside its transaction."""

    def __init__(self, index: NewIndex) -> None:
        super().__init__(f"the index {index.name} has to be built first, see migrate.upgrade()")
        self.index = index


def build_index(
    tx: Connection,
    name: str,
    table: str,
    columns: str,
    *,
    where: str | None = None,
    unique: bool = False,
) -> None:
    """Make an index of a table that grows. Call it first in a migration, for existing columns.

    `tx` is op.get_bind(). On SQLite, which has one writer anyway, this makes the index. On
    PostgreSQL it raises IndexMissing until there is a valid index of that name: migrate.upgrade()
    builds it.
    """
    index = NewIndex(name, table, columns, where, unique)
    if is_sqlite(tx):
        tx.execute(text(index.create("")))
    elif not _is_valid(tx, index):
        raise IndexMissing(index)


def build(db: Database, index: NewIndex) -> None:
    """Build an index on PostgreSQL, or wait until another process has built it.

    Waits as long as the oldest transaction lasts. That stops nobody, so there is no time limit.
    Raises DBAPIError: then there may be an invalid index, which the next call replaces.
    """
    with closing(db.without_time_limits()) as patient, _alone(patient):
        while not _built(patient, index):
            began = time.monotonic()
            observe.event("schema.index", index=index.name, table=index.table)
            with patient.reading() as connection:
                connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}"))
                connection.execute(text(index.create("CONCURRENTLY IF NOT EXISTS ")))
            seconds = round(time.monotonic() - began, 1)
            observe.event("schema.index_built", index=index.name, seconds=seconds)


@contextmanager
def _alone(db: Database) -> Iterator[None]:
    """Hold the lock of builds.

    A statement that waited for the lock would have a snapshot, and the build waits for all older
    snapshots: both would wait for ever. So this polls. Its idle transaction has no snapshot. It is
    the transaction that has the lock, since a pooler would give a session to other clients.
    """
    while True:
        with db.engine.begin() as holder:
            if holder.execute(_TRY_LOCK, {"key": _LOCK}).scalar_one():
                yield
                return
        time.sleep(_LOCK_DELAY)


def _built(db: Database, index: NewIndex) -> bool:
    """Say whether there is a valid index, after the end of a build that is under way.

    If a builder was killed, its server process builds on: this waits for it, and polls as well.
    """
    while True:
        with db.reading() as tx:
            if not tx.execute(_IS_BUILT_NOW, {"table": index.table}).scalar_one():
                return _is_valid(tx, index)
        time.sleep(_LOCK_DELAY)


def _is_valid(tx: Connection, index: NewIndex) -> bool:
    return bool(tx.execute(_IS_VALID, {"name": index.name}).scalar())
