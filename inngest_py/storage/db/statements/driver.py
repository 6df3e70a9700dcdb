"""Statements for PostgreSQL's driver: SQLAlchemy writes the SQL once, psycopg2 runs it.

To run a statement through SQLAlchemy costs 40 to 100 µs of CPU more each time.

Written against SQLAlchemy 2.1: `is_disconnect()` of its dialect tells a lost connection by the
driver's error, and `DBAPIError.instance()` makes its own error of that.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from functools import cache
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import psycopg2
from sqlalchemy.exc import DBAPIError

from ..columns import Timestamp
from ..driver_errors import wrapped
from ..row_types import Parameters, RowValues, Statement
from ..session import later
from .per_row import GIVEN, Result, described

ROWS = "given_rows"  # prefix of the parameters that hold the columns of given rows


class PostgresStatement:
    """One statement or several, sent in one message; the last has the result."""

    def __init__(self, *statements: Statement) -> None:
        dialect = psycopg2.dialect()  # type: ignore[no-untyped-call]
        whole = {"render_postcompile": True}
        parts = [one.compile(dialect=dialect, compile_kwargs=whole) for one in statements]
        self._sql = ";\n".join(str(part) for part in parts)
        self._constants: RowValues = {}
        for part in parts:
            clash = {n for n, v in part.params.items() if self._constants.get(n, v) != v}
            assert not clash, clash
            self._constants |= part.params

    def run(self, tx: Connection, values: RowValues) -> Result:
        """Execute it; times among the results are in the session's time zone.

        Raises DBAPIError, as SQLAlchemy does.
        """
        return execute(tx, self._sql, self._constants | values)

    def later(self, tx: Connection, values: RowValues) -> None:
        """Send it with the transaction's next statement or its commit."""
        later(tx, self._sql, self._constants | values)


def execute(tx: Connection, sql: str, values: Parameters) -> Result:
    """Execute SQL by the driver's own cursor; see Driven.run()."""
    connection, dialect = tx.connection, tx.dialect
    try:
        with closing(connection.cursor()) as driver:
            driver.execute(sql, values)
            if driver.description is None:
                return Result()
            row = _row(tuple(column[0] for column in driver.description))
            return Result(map(row, driver.fetchall()))
    except dialect.loaded_dbapi.Error as error:
        if dialect.is_disconnect(error, connection.dbapi_connection, None):
            # This fails, too. SQLAlchemy then also drops the pool's other connections of that time.
            with suppress(DBAPIError):
                tx.exec_driver_sql("SELECT 1")
            raise wrapped(dialect, sql, error, lost=True) from error
        raise wrapped(dialect, sql, error) from error


@cache
def _row(names: tuple[str, ...]) -> Callable[[Iterable[object]], Any]:
    """Make the function that makes rows with these columns."""
    made: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
    maker: Callable[[Iterable[object]], Any] = made._make
    return maker


def columns(names: Sequence[str], rows: Sequence[Sequence[object]]) -> RowValues:
    """Make the parameters of rows, column by column, for statements over unnested() rows."""
    return {ROWS + name: list(c) for name, c in zip(names, zip(*rows, strict=True), strict=True)}


def values(names: Sequence[str], row: Sequence[object]) -> RowValues:
    """Make the parameters of one row, for statements over given() values."""
    return {GIVEN + name: value for name, value in zip(names, row, strict=True)}


def returns_times(statement: Statement) -> bool:
    """Say whether a statement returns times, which only SQLAlchemy converts to UTC."""
    return any(isinstance(kind, Timestamp) for _, kind in described(statement))
