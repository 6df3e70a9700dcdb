"""Batches: one statement for many rows, on both databases.

The rows reach the statement as parameters of a fixed SQL text, which SQLAlchemy compiles once:
as arrays that PostgreSQL unnests, as one JSON document that SQLite reads. A shared commit so costs
one round trip a kind of statement at the most, however many writers share it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import orjson
from sqlalchemy import Connection, Executable, Table, bindparam, cast, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

from ..columns import micros
from .driver import ROWS, Driven, columns, tells_times, values
from .per_row import RowWise, given


class Batch:
    """A statement over given rows; `build` gets their columns as attributes by name.

    Rows are tuples in the order of `kinds`. Values are bound by the databases' own types, so a
    column that holds times is declared as `DateTime(timezone=True)`.
    """

    def __init__(
        self, kinds: dict[str, TypeEngine[Any]], build: Callable[[Any], Executable]
    ) -> None:
        self._names = list(kinds)
        self._set(build(unnested(kinds)), build(_from_json(self._names)))

    def _set(self, postgres: Any, sqlite: Any) -> None:
        """Take the statements of both databases; Each has none here for SQLite."""
        self._postgres, self._sqlite = postgres, sqlite
        self._driven = Driven(postgres)
        self._tells_times = tells_times(postgres)

    def run(self, tx: Connection, rows: Sequence[tuple[Any, ...]], **more: Any) -> Any:
        """Execute the statement over the rows, which may not be empty; returns its result.

        `more` are parameters that the statement names beside the rows.
        """
        if tx.dialect.name == "sqlite":
            document = orjson.dumps([[_plain(value) for value in row] for row in rows]).decode()
            return tx.execute(self._sqlite, {ROWS: document, **more})
        if self._tells_times:
            return tx.execute(self._postgres, columns(self._names, rows) | more)
        return self._driven.run(tx, columns(self._names, rows) | more)

    def later(self, tx: Connection, rows: Sequence[tuple[Any, ...]], **more: Any) -> None:
        """Execute it for a transaction that needs no result; see session.later()."""
        if tx.dialect.name == "sqlite":
            self.run(tx, rows, **more)
        else:
            self._driven.later(tx, columns(self._names, rows) | more)


class Each(Batch):
    """A Batch whose rows do not depend on each other: on SQLite it runs row by row.

    It is an INSERT, UPDATE or DELETE, and no parameters stand beside its rows. A single row needs
    no relation on PostgreSQL either, which has less to plan then.
    """

    def __init__(
        self, kinds: dict[str, TypeEngine[Any]], build: Callable[[Any], Executable]
    ) -> None:
        self._names = list(kinds)
        self._set(build(unnested(kinds)), None)
        single = build(SimpleNamespace(**given(self._names)))
        self._row_wise, self._single = RowWise(single, self._names), Driven(single)

    def run(self, tx: Connection, rows: Sequence[tuple[Any, ...]], **more: Any) -> Any:
        """Execute the statement over the rows, which may not be empty; returns its result."""
        if tx.dialect.name == "sqlite":
            return self._row_wise.run(tx, rows)
        if len(rows) == 1 and not self._tells_times:
            return self._single.run(tx, values(self._names, rows[0]))
        return super().run(tx, rows, **more)

    def later(self, tx: Connection, rows: Sequence[tuple[Any, ...]], **more: Any) -> None:
        """Execute it for a transaction that needs no result; see session.later()."""
        if tx.dialect.name != "sqlite" and len(rows) == 1:
            self._single.later(tx, values(self._names, rows[0]))
        else:
            super().later(tx, rows, **more)


Changes = Callable[[Any], dict[str, Any]]


class Upsert(Batch):
    """An INSERT over given rows whose conflicts with rows that are there update those.

    `changes` gets the row that could not be inserted and says what is set; `where` may keep a row
    as it is, which then is not returned. Every row it meets is locked, in the order given: give
    rows sorted, no key twice.
    """

    def __init__(
        self,
        table: Table,
        kinds: dict[str, TypeEngine[Any]],
        key: str,
        changes: Changes,
        *,
        where: Any = None,
        returning: Sequence[str] = (),
    ) -> None:
        names = list(kinds)

        def built(dialect: Any, given: Any) -> Any:
            rows = select(*(getattr(given, name).label(name) for name in names))
            # without a WHERE, SQLite reads ON CONFLICT as part of a join
            statement = dialect.insert(table).from_select(names, rows.where(text("1 = 1")))
            statement = statement.on_conflict_do_update(
                index_elements=[key], set_=changes(statement.excluded), where=where
            )
            return statement.returning(*(table.c[name] for name in returning or [key]))

        self._names = names
        self._set(built(postgresql, unnested(kinds)), built(sqlite, _from_json(names)))


class Together:
    """Two batches that PostgreSQL gets in one message; the second sees what the first waited for.

    Each has a snapshot of its own, as READ COMMITTED gives every statement. Columns of the same
    name hold the same values in both.
    """

    def __init__(self, first: Batch, second: Batch) -> None:
        names = list(dict.fromkeys([*first._names, *second._names]))
        self._names, self._driven = names, Driven(first._postgres, second._postgres)

    def run(self, tx: Connection, rows: Sequence[tuple[Any, ...]]) -> Any:
        """Execute them over rows of the columns of both; returns the second's result."""
        return self._driven.run(tx, columns(self._names, rows))


def _plain(value: Any) -> Any:
    return micros(value) if isinstance(value, datetime) else value


def unnested(columns: dict[str, TypeEngine[Any]]) -> Any:
    """Make a relation of the rows that Driven passes, as a builder of statements gets it."""
    arrays = [
        cast(bindparam(ROWS + name, None, type_=ARRAY(kind)), ARRAY(kind))
        for name, kind in columns.items()
    ]
    relation = func.unnest(*arrays).table_valued(*columns, name="given").render_derived()
    return relation.c


def _from_json(names: list[str]) -> Any:
    relation = func.json_each(bindparam(ROWS)).table_valued("value", name="given")
    return SimpleNamespace(
        **{
            name: func.json_extract(relation.c.value, f"$[{place}]")
            for place, name in enumerate(names)
        }
    )
