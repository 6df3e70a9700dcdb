"""All rows as they were at one moment, read while others write."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from sqlalchemy import Connection, text

from .session import Database

_ONE_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


@contextmanager
def snapshot(db: Database) -> Iterator[Connection]:
    """Open a connection to read from whose statements all see the same moment.

    It has no time limits. It keeps nobody waiting; while it is open, the database keeps the old
    versions of rows that change.
    """
    if db.is_sqlite:
        with db.reading() as tx:
            yield tx
        return
    with closing(db.without_time_limits()) as patient, patient.transaction() as tx:
        tx.execute(_ONE_SNAPSHOT)
        yield tx
