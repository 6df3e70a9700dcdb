"""The types of rows and statements.

- `Record`: a row that a statement returned. Its columns are attributes, and have places. What a
  column holds is known to the database alone, so its type is not checked.
- `Records`: all that a statement returned, whether SQLAlchemy ran it or `statements` did.
- `RowValues`: what to write into a row, by column.
- `GivenRow`: the columns of rows that a statement gets as parameters, as attributes.
- `AnyType`: the type of a column. `ColumnTypes`: those of such columns, by name.
- `Parameters`: those of a statement that the driver runs: by name, in order, or none.
- `AnyColumn`: a column, or an expression, of any type.
- `Query`: a SELECT of any columns. `Statement`: it, or an INSERT, UPDATE or DELETE.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Select
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.types import TypeEngine

AnyColumn = ColumnElement[Any]
Parameters = Mapping[str, object] | Sequence[object] | None
RowValues = dict[str, object]
AnyType = TypeEngine[Any]
ColumnTypes = dict[str, AnyType]
Query = Select[*tuple[Any, ...]]
Statement = Query | UpdateBase


class Record(Protocol):
    """A row; see above."""

    def __getattr__(self, name: str, /) -> Any:
        """Read a column by its name."""

    def __getitem__(self, place: int | slice, /) -> Any:
        """Read a column by its place, or several."""

    def __iter__(self) -> Iterator[Any]:
        """Yield the values of the columns."""


class Records(Protocol):
    """Rows; see above."""

    def __iter__(self) -> Iterator[Record]:
        """Yield the rows."""

    def all(self) -> Sequence[Record]:
        """Return all rows."""

    def scalars(self) -> Iterable[Any]:
        """Return the first column of every row."""


class GivenRow(Protocol):
    """Columns; see above."""

    def __getattr__(self, name: str, /) -> AnyColumn:
        """Give the column of this name."""
