"""The values of runs' search keys: rows of those functions alone that declare keys."""

from collections.abc import Sequence

from sqlalchemy import Connection, Index, Text, delete, exists, func, select
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import ColumnElement

from ..db.columns import Base, table_of
from ..db.row_types import AnyColumn, RowValues
from ..db.statements import Insert


class RunSearchKey(Base):
    """A value of a key in a run's events: see domain.functions.search_keys."""

    __tablename__ = "run_search_keys"
    __table_args__ = (
        # serves lists of runs by key: those of a value are in the order of their ids
        Index("run_search_keys_value_idx", "key", "value", "run_id"),
        # a row is in its primary key as a whole
        {"sqlite_with_rowid": False},
    )
    run_id: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text, primary_key=True)


_keys = table_of(RunSearchKey)
_others = _keys.alias("other_keys")
_add = Insert(_keys)


def add(tx: Connection, rows: Sequence[RowValues]) -> None:
    """Write values of keys."""
    if rows:
        _add.run(tx, rows)


def drop(tx: Connection, run_ids: Sequence[str], key: str) -> None:
    """Delete the values of one key of runs."""
    tx.execute(delete(_keys).where(_keys.c.run_id.in_(run_ids), _keys.c.key == key))


def count(tx: Connection, pair: tuple[str, str], most: int) -> int:
    """Count the runs that have a value of a key, up to `most`: by the index alone."""
    mine = (_keys.c.key == pair[0], _keys.c.value == pair[1])
    found = select(_keys.c.run_id).where(*mine).limit(most).subquery()
    counted: int = tx.execute(select(func.count()).select_from(found)).scalar_one()
    return counted


def has(run_id: AnyColumn, key: str, value: str) -> ColumnElement[bool]:
    """Write that a run has a value of a key, for a query that reads the run anyway."""
    mine = (_others.c.run_id == run_id, _others.c.key == key, _others.c.value == value)
    return exists().where(*mine)
