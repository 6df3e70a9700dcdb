"""One statement for many rows, on both databases.

The rows are parameters of a fixed SQL text, which SQLAlchemy compiles once: arrays that PostgreSQL
unnests, or one JSON document that SQLite reads. So a group commit costs at most one round trip per
kind of statement, however many runs it writes.
"""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import ColumnElement, Connection, Table, bindparam, cast, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.dml import UpdateBase

from ..columns import sqlite_value
from ..dialects import is_sqlite
from ..row_types import AnyColumn, ColumnTypes, GivenRow, Records, RowValues, Statement
from .driver import ROWS, PostgresStatement, columns, returns_times, values
from .per_row import PerRow, given


class _Columns(SimpleNamespace):
    if TYPE_CHECKING:

        def __getattr__(self, name: str, /) -> AnyColumn: ...


def given_row(names: Sequence[str]) -> GivenRow:
    """Make the parameters of given() as attributes."""
    return _Columns(**given(names))


class ManyRows:
    """A statement over given rows; `build` gets their columns as attributes by name.

    Rows are tuples in the order of `kinds`. Values are bound with the databases' own types, so
    declare a column of times as `DateTime(timezone=True)`.
    """

    def __init__(self, kinds: ColumnTypes, build: Callable[[GivenRow], Statement]) -> None:
        self._names = list(kinds)
        self._sqlite = build(_from_json(self._names))
        self._set_postgres(build(unnested(kinds)))

    def _set_postgres(self, postgres: Statement) -> None:
        self._postgres = postgres
        self._driven = PostgresStatement(postgres)
        self._tells_times = returns_times(postgres)

    def run(self, tx: Connection, rows: Sequence[tuple[object, ...]], **more: object) -> Records:
        """Execute the statement over the rows, at least one; returns its result.

        `more` holds the statement's other parameters.
        """
        if is_sqlite(tx):
            plain = [[sqlite_value(value) for value in row] for row in rows]
            document = orjson.dumps(plain).decode()
            return tx.execute(self._sqlite, {ROWS: document, **more})
        if self._tells_times:
            return tx.execute(self._postgres, columns(self._names, rows) | more)
        return self._driven.run(tx, columns(self._names, rows) | more)

    def later(self, tx: Connection, rows: Sequence[tuple[object, ...]], **more: object) -> None:
        """Execute it for a transaction that needs no result; see session.later()."""
        if is_sqlite(tx):
            self.run(tx, rows, **more)
        else:
            self._driven.later(tx, columns(self._names, rows) | more)


class EachRow(ManyRows):
    """A Batch whose rows do not depend on each other: on SQLite it runs row by row.

    It must be an INSERT, UPDATE or DELETE without other parameters. On PostgreSQL, a single row is
    bound without arrays, which is less to plan.
    """

    def __init__(self, kinds: ColumnTypes, build: Callable[[GivenRow], UpdateBase]) -> None:
        self._names = list(kinds)
        self._set_postgres(build(unnested(kinds)))
        single = build(given_row(self._names))
        self._row_wise, self._single = PerRow(single, self._names), PostgresStatement(single)

    def run(self, tx: Connection, rows: Sequence[tuple[object, ...]], **more: object) -> Records:
        """Execute the statement over the rows, which may not be empty; returns its result."""
        if is_sqlite(tx):
            return self._row_wise.run(tx, rows)
        if len(rows) == 1 and not self._tells_times:
            return self._single.run(tx, values(self._names, rows[0]))
        return super().run(tx, rows, **more)

    def later(self, tx: Connection, rows: Sequence[tuple[object, ...]], **more: object) -> None:
        """Execute it for a transaction that needs no result; see session.later()."""
        if not is_sqlite(tx) and len(rows) == 1:
            self._single.later(tx, values(self._names, rows[0]))
        else:
            super().later(tx, rows, **more)


_MakeInsert = Callable[[Table], sqlite.Insert | postgresql.Insert]
Changes = Callable[[GivenRow], RowValues]


class Upsert(ManyRows):
    """An INSERT over given rows whose conflicts with rows that are there update those.

    `changes` gets the row that could not be inserted and returns what to set. An existing row that
    does not fulfil `where` is not changed and not returned. Every existing row is locked, in the
    order of the given rows: give them sorted, each key once.
    """

    def __init__(
        self,
        table: Table,
        kinds: ColumnTypes,
        keys: str | Sequence[str],
        changes: Changes,
        *,
        where: ColumnElement[bool] | None = None,
        returning: Sequence[str] = (),
    ) -> None:
        names = list(kinds)
        conflicting = [keys] if isinstance(keys, str) else list(keys)

        def built(insert: _MakeInsert, given: GivenRow) -> Statement:
            rows = select(*(getattr(given, name).label(name) for name in names))
            # without a WHERE, SQLite reads ON CONFLICT as part of a join
            statement = insert(table).from_select(names, rows.where(text("1 = 1")))
            statement = statement.on_conflict_do_update(
                index_elements=conflicting, set_=changes(statement.excluded), where=where
            )
            return statement.returning(*(table.c[name] for name in returning or conflicting))

        self._names = names
        self._sqlite = built(sqlite.insert, _from_json(names))
        self._set_postgres(built(postgresql.insert, unnested(kinds)))


class AfterLock:
    """A statement that PostgreSQL gets in one message with one that only takes locks.

    It sees what the lock waited for: READ COMMITTED gives each statement a snapshot of its own.
    Columns of the same name hold the same values in both. SQLite's one writer needs no lock, and
    gets the second statement alone.
    """

    def __init__(self, lock: ManyRows, statement: ManyRows) -> None:
        self._statement = statement
        self._names = list(dict.fromkeys([*lock._names, *statement._names]))
        self._own = [self._names.index(name) for name in statement._names]
        self._driven = PostgresStatement(lock._postgres, statement._postgres)

    def run(self, tx: Connection, rows: Sequence[tuple[object, ...]]) -> Records:
        """Execute them over rows of the columns of both; returns the statement's result."""
        if is_sqlite(tx):
            return self._statement.run(tx, [tuple(row[at] for at in self._own) for row in rows])
        return self._driven.run(tx, columns(self._names, rows))


def unnested(columns: ColumnTypes) -> GivenRow:
    """Make the relation of given rows for PostgreSQL, whose columns `build` gets."""
    arrays = [
        cast(bindparam(ROWS + name, None, type_=ARRAY(kind)), ARRAY(kind))
        for name, kind in columns.items()
    ]
    relation = func.unnest(*arrays).table_valued(*columns, name="given").render_derived()
    return relation.c


def _from_json(names: list[str]) -> GivenRow:
    relation = func.json_each(bindparam(ROWS)).table_valued("value", name="given")
    return _Columns(
        **{
            name: func.json_extract(relation.c.value, f"$[{place}]")
            for place, name in enumerate(names)
        }
    )
