"""Statements that SQLite runs once for each of many rows, with the driver's own cursor.

SQLite has no round trips to save, and its driver keeps prepared statements. A row costs 5 to 10 µs;
SQLAlchemy costs 70 µs per statement, a JSON document of rows 5 µs per value. SQLAlchemy writes the
SQL, once.

Written against SQLAlchemy 2.1: a compiled statement has its parameters' names, in the order of the
text's places, in `positiontup`, and their values from `construct_params()`.
"""

from collections import namedtuple
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, Dialect, bindparam
from sqlalchemy.sql.dml import UpdateBase

from ..columns import sqlite_value
from ..driver_errors import wrapped
from ..row_types import AnyType, Record, Statement

Reader = Callable[[Any], object]


class Result(list[Record]):
    """The rows that a statement returned, read as those of SQLAlchemy's results are."""

    def all(self) -> list[Record]:
        """Return all rows."""
        return self

    def scalars(self) -> list[Any]:
        """Return the first column of every row."""
        return [row[0] for row in self]


GIVEN = "given_"  # prefix of parameters, so that none has the name of one of SQLAlchemy's


def given(names: Sequence[str]) -> dict[str, BindParameter[Any]]:
    """Make the parameters of a row's values, by the values' names."""
    return {name: bindparam(GIVEN + name, None) for name in names}


class PerRow:
    """A statement over the parameters given() makes for the names, in the order of a row.

    It must need no default value that SQLAlchemy computes.
    """

    def __init__(self, statement: Statement, names: Sequence[str]) -> None:
        self._statement, self._names = statement, list(names)
        self._sql = ""
        # for every parameter of the SQL: its place in the row, or None and a constant
        self._order: list[tuple[int | None, object]] = []
        self._row: Any = None  # None when the statement returns nothing
        self._readers: list[Reader | None] = []

    def run(self, tx: Connection, rows: Sequence[Sequence[object]]) -> Result:
        """Run it for each row in turn; returns what all of them returned.

        Raises DBAPIError, as SQLAlchemy does.
        """
        if not self._sql:
            self._compile(tx.dialect)
        # not by a call for each value: half of the time of this
        given = [
            [
                constant
                if at is None
                else sqlite_value(value)
                if isinstance(value := row[at], datetime)
                else value
                for at, constant in self._order
            ]
            for row in rows
        ]
        driver = tx.connection.cursor()
        try:
            if self._row is None:
                driver.executemany(self._sql, given)
                return Result()
            found: list[Sequence[object]] = []
            for values in given:
                driver.execute(self._sql, values)
                found += driver.fetchall()
        except tx.dialect.loaded_dbapi.Error as error:
            raise wrapped(tx.dialect, self._sql, error) from error
        finally:
            driver.close()
        return Result(self._read(row) for row in found)

    def _read(self, row: Sequence[object]) -> Any:
        values = (
            value if reader is None else reader(value)
            for value, reader in zip(row, self._readers, strict=True)
        )
        return self._row(*values)

    def _compile(self, dialect: Dialect) -> None:
        compiled = self._statement.compile(
            dialect=dialect, compile_kwargs={"render_postcompile": True}
        )
        assert not getattr(compiled, "insert_prefetch", ()), "a column is left to a default"
        places = {GIVEN + name: place for place, name in enumerate(self._names)}
        constants = compiled.construct_params()
        self._order = [
            (places[name], None) if name in places else (None, sqlite_value(constants[name]))
            for name in compiled.positiontup or ()
        ]
        columns = described(self._statement)
        self._readers = [
            kind.dialect_impl(dialect).result_processor(dialect, None) for _, kind in columns
        ]
        if columns:
            names = [name for name, _ in columns]
            self._row = namedtuple("Row", names, rename=True)  # type: ignore[misc]
        self._sql = str(compiled)


def described(statement: Statement) -> list[tuple[str, AnyType]]:
    """Give the names and types of the columns that a statement returns."""
    columns = (
        statement.returning_column_descriptions
        if isinstance(statement, UpdateBase)
        else statement.column_descriptions
    )
    return [(column["name"] or "", column["type"]) for column in columns]
