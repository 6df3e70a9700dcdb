"""Rows of whole tables, read page by page in the order of their keys, and written."""

from collections.abc import Iterator, Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    Table,
    insert,
    literal,
    select,
    tuple_,
)

from ..db import dialects
from ..db.row_types import RowValues

_PAGE = 500  # a row may have a megabyte


def pages(tx: Connection, table: Table) -> Iterator[Sequence[Row[*tuple[object, ...]]]]:
    """Read all rows of a table of the models in the order of its primary key, page by page."""
    key = list(table.primary_key.columns)
    query = select(table).order_by(*key).limit(_PAGE)
    places = [list(table.columns).index(column) for column in key]
    found = tx.execute(query).all()
    while found:
        yield found
        if len(found) < _PAGE:
            return
        last = [found[-1][place] for place in places]
        found = tx.execute(query.where(_after(key, last))).all()


def _after(key: Sequence[ColumnElement[object]], last: Sequence[object]) -> ColumnElement[bool]:
    given = [literal(value, column.type) for column, value in zip(key, last, strict=True)]
    return key[0] > given[0] if len(key) == 1 else tuple_(*key) > tuple_(*given)


def write(tx: Connection, table: Table, found: Sequence[RowValues]) -> None:
    """Insert rows as they are."""
    if found:
        tx.execute(insert(table), list(found))


def set_counters(tx: Connection, tables: Sequence[Table]) -> None:
    """Let numbers that PostgreSQL gives to rows begin after those of rows that were written."""
    for table in tables:
        for column in table.columns:
            if isinstance(column.type, Integer):
                dialects.set_counter(tx, table, column.name)
