"""Inserts of many rows, on both databases."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, DateTime, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from .base import Timestamp
from .batch import unnested
from .driven import Driven
from .rowwise import RowWise, given

Rows = Sequence[Mapping[str, Any]]


class Insert:
    """An INSERT of rows, without a result.

    Built once for each set of columns, so that SQLAlchemy compiles it once: multi-row VALUES would
    be compiled for every number of rows.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._made: dict[tuple[str, tuple[str, ...]], Any] = {}

    def run(self, tx: Connection, rows: Rows) -> None:
        """Insert the rows, at least one, which all have the same columns; see session.later()."""
        statement, given_rows = self._given(tx, rows)
        if tx.dialect.name == "sqlite":
            statement.run(tx, given_rows)
        else:
            statement.later(tx, given_rows)

    def _given(self, tx: Connection, rows: Rows) -> tuple[Any, list[list[Any]]]:
        names = tuple(rows[0])
        kind = (tx.dialect.name, names)
        statement = self._made.get(kind)
        if statement is None:
            made = self._for_sqlite(names) if kind[0] == "sqlite" else self._for_postgres(names)
            statement = self._made[kind] = made
        return statement, [[row[name] for name in names] for row in rows]

    def _for_sqlite(self, names: tuple[str, ...]) -> RowWise:
        statement = sqlite.insert(self._table).values(**given(names))
        return RowWise(self._finished(statement), names)

    def _for_postgres(self, names: tuple[str, ...]) -> Driven:
        kinds = {name: self._table.c[name].type for name in names}
        columns = {
            name: DateTime(timezone=True) if isinstance(kind, Timestamp) else kind
            for name, kind in kinds.items()
        }
        rows = unnested(columns)
        source = select(*(rows[name] for name in names))
        statement = postgresql.insert(self._table).from_select(list(names), source)
        return Driven(names, self._finished(statement))

    def _finished(self, statement: Any) -> Any:
        return statement


class InsertNew(Insert):
    """An INSERT that passes over rows already there."""

    def __init__(self, table: Table, *returning: str, keys: Sequence[str] | None = None) -> None:
        self._keys, self._returning = keys, [table.c[name] for name in returning]
        super().__init__(table)

    def fresh(self, tx: Connection, rows: Rows) -> Any:
        """Insert the rows; returns the columns named as `returning` of those that are new."""
        statement, given_rows = self._given(tx, rows)
        return statement.run(tx, given_rows)

    def _finished(self, statement: Any) -> Any:
        statement = statement.on_conflict_do_nothing(index_elements=self._keys)
        return statement.returning(*self._returning) if self._returning else statement
