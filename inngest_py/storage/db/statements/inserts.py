"""Inserts of many rows, on both databases."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg2
from sqlalchemy.sql.dml import UpdateBase

from ..dialects import is_sqlite
from ..row_types import Records
from ..session import later
from .driver import execute
from .per_row import GIVEN, PerRow, given

Written = tuple[str, str, str]  # an INSERT: what is before the first row, that row, what follows
_Insert = sqlite.Insert | postgresql.Insert
Rows = Sequence[Mapping[str, object]]


class Insert:
    """An INSERT of rows, without a result.

    SQLAlchemy compiles it once for each set of columns. Multi-row VALUES of its own would be
    compiled again for each number of rows.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._columns = [column.name for column in table.c]
        self._made: dict[tuple[str, ...], PerRow] = {}
        self._written: dict[tuple[str, ...], Written] = {}

    def run(self, tx: Connection, rows: Rows) -> None:
        """Insert rows, at least one, all with the same columns; see session.later()."""
        names, given_rows = self._in_order(rows)
        if is_sqlite(tx):
            self._sqlite(names).run(tx, given_rows)
        else:
            later(tx, *self._postgres(names, given_rows))

    def _in_order(self, rows: Rows) -> tuple[tuple[str, ...], list[list[object]]]:
        """Put the rows' values in the order of the table's columns."""
        names = tuple(name for name in self._columns if name in rows[0])
        return names, [[row[name] for name in names] for row in rows]

    def _sqlite(self, names: tuple[str, ...]) -> PerRow:
        made = self._made.get(names)
        if made is None:
            statement = sqlite.insert(self._table).values(**given(names))
            made = self._made[names] = PerRow(self._finished(statement), names)
        return made

    def _postgres(
        self, names: tuple[str, ...], rows: Sequence[Sequence[object]]
    ) -> tuple[str, tuple[object, ...]]:
        """Write the SQL, and its parameters in order.

        All rows are in one VALUES: unnested arrays cost PostgreSQL a seventh more CPU per run.
        """
        written = self._written.get(names)
        if written is None:
            dialect = psycopg2.dialect(paramstyle="format")  # type: ignore[no-untyped-call]
            statement = postgresql.insert(self._table).values(**given(names))
            compiled = self._finished(statement).compile(dialect=dialect)
            assert compiled.positiontup == [GIVEN + name for name in names]
            written = self._written[names] = str(compiled).partition(_row(names))
        head, row, tail = written
        sql = head + ", ".join([row] * len(rows)) + tail
        return sql, tuple(value for values in rows for value in values)

    def _finished(self, statement: _Insert) -> UpdateBase:
        return statement


class InsertNew(Insert):
    """An INSERT that skips rows that exist already."""

    def __init__(self, table: Table, *returning: str, keys: Sequence[str] | None = None) -> None:
        self._keys, self._returning = keys, [table.c[name] for name in returning]
        super().__init__(table)

    def fresh(self, tx: Connection, rows: Rows) -> Records:
        """Insert the rows; returns the `returning` columns of those that are new."""
        names, given_rows = self._in_order(rows)
        if is_sqlite(tx):
            return self._sqlite(names).run(tx, given_rows)
        return execute(tx, *self._postgres(names, given_rows))

    def _finished(self, statement: _Insert) -> UpdateBase:
        statement = statement.on_conflict_do_nothing(index_elements=self._keys)
        return statement.returning(*self._returning) if self._returning else statement


def _row(names: tuple[str, ...]) -> str:
    return f"({', '.join(['%s'] * len(names))})"
