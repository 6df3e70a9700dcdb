"""The table of results: a row for each transaction, written by its own commit."""

import time
from collections.abc import Awaitable
from typing import NamedTuple

from ..databases.choose import choose
from ..databases.database import Transaction
from ..databases.tables import Table

TABLE = Table(
    name="inngest_transactions",
    # seen_at: milliseconds since 1970; when it was written, or its run was last seen to go on
    columns="""
    run_id {key_64} NOT NULL,
    step_id {key_64} NOT NULL,
    result {long},
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (run_id, step_id)""",
    index="seen_at",
    made_by="inngest_py.sdk.transactions",
)
_INSERT = (
    "INSERT INTO inngest_transactions (run_id, step_id, seen_at) VALUES (:run_id, :step_id, :now)"
)
_STORE = (
    "UPDATE inngest_transactions SET result = :result WHERE run_id = :run_id AND step_id = :step_id"
)
_FIND = "SELECT result FROM inngest_transactions WHERE run_id = :run_id AND step_id = :step_id"


class Key(NamedTuple):
    """One transaction, whatever its attempt."""

    run_id: str
    step_id: str
    """As the SDK hashes it, with the number of an id that is used again."""


class Found(NamedTuple):
    """A row that is there."""

    result: str | None
    """JSON; None if its transaction was committed before its code had returned."""


def insert(transaction: Transaction, key: Key) -> None:
    """Take the key. Waits for another transaction that has it; an error if that one commits."""
    transaction.execute(_INSERT, {**key._asdict(), "now": now_ms()})


def store(transaction: Transaction, key: Key, result: str) -> bool:
    """Write the result; False if the row is not there."""
    return transaction.execute(_STORE, {**key._asdict(), "result": result}).count == 1


def find(transaction: Transaction, key: Key) -> Found | None:
    """Read what an earlier transaction of this key has committed."""
    rows = transaction.execute(_FIND, key._asdict()).rows
    if not rows:
        return None
    (result,) = rows[0]
    return Found(None if result is None else str(result))


def now_ms() -> int:
    """Give the time as it is stored."""
    return int(time.time() * 1000)


def table_sql(dialect: str) -> str:
    """Write the SQL that makes the table: postgresql, mysql (also MariaDB) or sqlite.

    Raises ValueError.
    """
    return TABLE.sql(dialect)


def create_table(database: object) -> Awaitable[None] | None:
    """Make the table, unless it is there. With an async engine or session, await it.

    Takes what `transaction` takes. Raises TypeError or ValueError for what is no database.
    """
    chosen = choose(database, "database")
    if chosen.is_async:
        return chosen.run(lambda: TABLE.create(chosen))
    TABLE.create(chosen)
    return None
