"""Which database a transaction is on. No module outside `storage/db` asks for the dialect's name.

Where the databases need different statements or steps, a module has both and picks one.
"""

from typing import TypeVar

from sqlalchemy import Connection, Table, delete, func, select, text

from .row_types import Query, RowValues

T = TypeVar("T")
_LOCK_OUT = text("SELECT pg_advisory_xact_lock(:key)")
_OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'inngest-py' AND pid <> pg_backend_pid()"
)


def is_sqlite(tx: Connection) -> bool:
    """Say whether the transaction is on SQLite; it is on PostgreSQL otherwise."""
    return tx.dialect.name == "sqlite"


def pick(tx: Connection, *, sqlite: T, postgres: T) -> T:
    """Give what is meant for the transaction's database."""
    return sqlite if tx.dialect.name == "sqlite" else postgres


def lock_rows(tx: Connection, query: Query, values: RowValues) -> None:
    """Run a SELECT FOR UPDATE whose rows nobody needs. SQLite's one writer needs no lock."""
    if not is_sqlite(tx):
        tx.execute(query, values)


def lock_out(tx: Connection, key: int) -> None:
    """Wait until no other transaction holds the lock with this key, and hold it to the end.

    SQLite's one writer holds off all others anyway.
    """
    if not is_sqlite(tx):
        tx.execute(_LOCK_OUT, {"key": key})


def empty(tx: Connection, tables: list[Table]) -> None:
    """Delete all rows of the tables, which come in an order that foreign keys allow.

    PostgreSQL locks all of them in one statement: rows that came in between would refer to others
    that are gone.
    """
    if is_sqlite(tx):
        for table in tables:
            tx.execute(delete(table))
    else:
        # names of our own tables, not input
        tx.execute(text(f"TRUNCATE {', '.join(table.name for table in tables)}"))


def set_counter(tx: Connection, table: Table, column: str) -> None:
    """Let the numbers that PostgreSQL gives to new rows begin after the greatest of the column.

    Does nothing for a column whose numbers it does not give. SQLite looks at the rows itself.
    """
    if is_sqlite(tx):
        return
    given = text("SELECT pg_get_serial_sequence(:table, :column)")
    name = tx.execute(given, {"table": table.name, "column": column}).scalar()
    if name is not None:
        following = func.coalesce(func.max(table.c[column]), 0) + 1
        tx.execute(select(func.setval(name, following, False)))


def other_processes(tx: Connection) -> int:
    """Count the processes of this program that are connected to PostgreSQL's database, too.

    SQLite does not know: 0.
    """
    return 0 if is_sqlite(tx) else int(tx.execute(_OTHERS).scalar_one())
