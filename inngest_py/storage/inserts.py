"""Inserts of many rows, on both databases."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from .rowwise import RowWise, given

Rows = Sequence[Mapping[str, Any]]


class Insert:
    """An INSERT of rows that are not there yet.

    Built once a dialect, so that SQLAlchemy compiles it once: multi-row VALUES would be compiled
    for every number of rows.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._postgres = self._finished(postgresql.insert(table))
        self._sqlite: dict[tuple[str, ...], RowWise] = {}

    def run(self, tx: Connection, rows: Rows) -> Any:
        """Insert the rows, at least one, which all have the same columns; returns the result."""
        if tx.dialect.name != "sqlite":
            return tx.execute(self._postgres, list(rows))
        names = tuple(rows[0])
        made = self._sqlite.get(names)
        if made is None:
            statement = self._finished(sqlite.insert(self._table).values(**given(names)))
            made = self._sqlite[names] = RowWise(statement, names)
        return made.run(tx, [[row[name] for name in names] for row in rows])

    def _finished(self, statement: Any) -> Any:
        return statement


class InsertNew(Insert):
    """An INSERT that passes over rows already there and returns columns of the new ones."""

    def __init__(self, table: Table, *returning: str, keys: Sequence[str] | None = None) -> None:
        self._keys, self._returning = keys, [table.c[name] for name in returning]
        super().__init__(table)

    def _finished(self, statement: Any) -> Any:
        statement = statement.on_conflict_do_nothing(index_elements=self._keys)
        return statement.returning(*self._returning)
