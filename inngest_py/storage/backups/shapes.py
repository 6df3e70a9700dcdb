"""What a copy knows of a table: its columns and their kinds, whatever the database and version.

A copy may have been made by an older version, whose tables are not those of the models. So rows are
written by the shapes that the copy brings.
"""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, MetaData, Table, Text

from ..db.columns import Base, Timestamp
from ..db.row_types import AnyType
from ..schema import tables

assert tables  # the import fills Base.metadata


class Kind(StrEnum):
    """The kind of a column's values."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"


_TYPES: dict[Kind, type[AnyType]] = {
    Kind.TEXT: Text,
    Kind.INTEGER: BigInteger,
    Kind.NUMBER: Float,
    Kind.BOOLEAN: Boolean,
    Kind.TIME: Timestamp,
}


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table with its columns, each a name and a kind."""

    name: str
    columns: tuple[tuple[str, Kind], ...]

    def table(self) -> Table:
        """Make a table for statements that insert into it."""
        made = (Column(name, _TYPES[kind]) for name, kind in self.columns)
        return Table(self.name, MetaData(), *made)


def ordered() -> list[Table]:
    """List the tables of this version, each after those that its foreign keys refer to."""
    return list(Base.metadata.sorted_tables)


def shape(table: Table) -> TableShape:
    """Describe a table of the models."""
    return TableShape(table.name, tuple((c.name, _kind(c.type)) for c in table.columns))


def _kind(of: AnyType) -> Kind:
    if isinstance(of, Timestamp):
        return Kind.TIME
    if isinstance(of, Boolean):
        return Kind.BOOLEAN
    if isinstance(of, Integer):
        return Kind.INTEGER
    if isinstance(of, Float):
        return Kind.NUMBER
    if isinstance(of, Text):
        return Kind.TEXT
    raise TypeError(f"copies know no columns of the type {of!r}: add it to Kind")
