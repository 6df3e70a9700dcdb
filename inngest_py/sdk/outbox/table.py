"""The outbox: a row for each event that is to be sent, in the order of the ids."""

import time
from collections.abc import Awaitable

from ..databases.choose import choose
from ..databases.tables import Table

# state: waiting; parked: the server refused it, and nobody sends it until somebody says so; sent.
# Times are milliseconds since 1970. due_at: not to be sent before; of a sent row, when it was sent.
# seed: names the request in which the row was sent for the first time, until its outcome is known.
TABLE = Table(
    name="inngest_outbox",
    columns="""
    id {serial},
    state VARCHAR(8) NOT NULL,
    order_key {text_255},
    event {long} NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts INTEGER NOT NULL,
    seed {key_64},
    error {long}""",
    index="state, id",
    made_by="inngest_py.sdk.outbox",
)


def now_ms() -> int:
    """Give the time as it is stored."""
    return int(time.time() * 1000)


def listed(name: str, values: list[int]) -> tuple[str, dict[str, object]]:
    """Write a list of values for IN: its placeholders, and what they stand for."""
    named: dict[str, object] = {f"{name}_{place}": value for place, value in enumerate(values)}
    return ", ".join(f":{key}" for key in named), named


def table_sql(dialect: str) -> str:
    """Write the SQL that makes the table: postgresql, mysql (also MariaDB) or sqlite.

    Raises ValueError.
    """
    return TABLE.sql(dialect)


def create_table(database: object) -> Awaitable[None] | None:
    """Make the table, unless it is there. With an async engine or session, await it.

    Takes an engine, a session or a sessionmaker of SQLAlchemy, or the name of a Django database.
    Raises TypeError or ValueError for what is no database.
    """
    chosen = choose(database, "database")
    if chosen.is_async:
        return chosen.run(lambda: TABLE.create(chosen))
    TABLE.create(chosen)
    return None
