"""Queries for one value that run very often, with the driver's own cursor.

SQLAlchemy writes the SQL, once for each dialect. Such a query costs 2 µs of CPU on SQLite and 44 µs
on PostgreSQL; through SQLAlchemy it would cost 44 and 72 µs.
"""

from contextlib import closing
from typing import Any

from sqlalchemy import Connection, Dialect

from ..driver_errors import wrapped
from ..row_types import Query
from .per_row import Reader


class SingleValue:
    """A query for one value; it has no parameters but constants, and no LIKE."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._compiled: dict[str, tuple[str, Reader | None]] = {}

    def value(self, tx: Connection) -> Any:
        """Read the value; None when there is no row. Raises DBAPIError, as SQLAlchemy does."""
        dialect, connection = tx.dialect, tx.connection
        sql, reader = self._compiled.get(dialect.name) or self._compile(dialect)
        try:
            with closing(connection.cursor()) as driver:
                driver.execute(sql)
                row = driver.fetchone()
        except dialect.loaded_dbapi.Error as error:
            if dialect.is_disconnect(error, connection.dbapi_connection, None):
                # fails, too, and SQLAlchemy then drops the pool's other connections of that time
                return tx.execute(self._query).scalar()
            raise wrapped(dialect, sql, error) from error
        value = None if row is None else row[0]
        return value if value is None or reader is None else reader(value)

    def _compile(self, dialect: Dialect) -> tuple[str, Reader | None]:
        kind = self._query.column_descriptions[0]["type"]
        reader = kind.dialect_impl(dialect).result_processor(dialect, None)
        sql = str(self._query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        self._compiled[dialect.name] = (sql, reader)
        return sql, reader
