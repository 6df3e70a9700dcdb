"""Statements as PostgreSQL's driver takes them: SQL that SQLAlchemy wrote once, and rows as arrays.

SQLAlchemy's own way to a statement takes 40 to 100 µs of CPU more each time.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import psycopg2

from .base import Timestamp
from .session import later

ROWS = "given_rows"  # begins the names of the parameters that hold the columns of given rows


class Driven:
    """One statement or several over given rows, sent in one message; the last has the result."""

    def __init__(self, names: Sequence[str], *statements: Any) -> None:
        dialect = psycopg2.dialect()  # type: ignore[no-untyped-call]
        whole = {"render_postcompile": True}
        parts = [one.compile(dialect=dialect, compile_kwargs=whole) for one in statements]
        self._names = list(names)
        self._sql = ";\n".join(str(part) for part in parts)
        self._constants: dict[str, Any] = {}
        for part in parts:
            clash = {n for n, v in part.params.items() if self._constants.get(n, v) != v}
            assert not clash, clash
            self._constants |= part.params

    def run(self, tx: Connection, rows: Sequence[Sequence[Any]], **more: Any) -> Any:
        """Execute it; times among the results are in the session's time zone."""
        return tx.exec_driver_sql(self._sql, self._parameters(rows, more))

    def later(self, tx: Connection, rows: Sequence[Sequence[Any]], **more: Any) -> None:
        """Have it executed with the transaction's next statement or its commit."""
        later(tx, self._sql, self._parameters(rows, more))

    def _parameters(self, rows: Sequence[Sequence[Any]], more: dict[str, Any]) -> dict[str, Any]:
        columns = zip(self._names, zip(*rows, strict=True), strict=True)
        return self._constants | more | {ROWS + name: list(column) for name, column in columns}


def tells_times(statement: Any) -> bool:
    """Say whether a statement returns times, which SQLAlchemy turns into those of UTC."""
    select = getattr(statement, "column_descriptions", None)
    columns = statement.returning_column_descriptions if select is None else select
    return any(isinstance(column["type"], Timestamp) for column in columns)
