"""Search keys of functions, and how far the runs from before a key are indexed by it.

A function's row holds its keys for whoever makes runs. Each key has a row here, for the walk over
the function's runs that upkeep does, chunk by chunk, after a key was declared or removed. Whoever
does a chunk holds the lock of the key's row.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    RowMapping,
    Text,
    delete,
    func,
    select,
    text,
)
from sqlalchemy import update as update_rows
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, Timestamp, table_of
from ..db.row_types import RowValues
from ..db.session import upsert
from ..db.statements import SingleValue
from .functions import FunctionRow

_DUE = text("due_at IS NOT NULL")


class WalkState(StrEnum):
    """How far a key's walk is: down to the oldest run, once more over runs that came meanwhile."""

    WALKING = "walking"
    CHECKING = "checking"
    DONE = "done"


class SearchKey(Base):
    """A search key of a function.

    `path` is None once it has been removed: the walk then deletes its values, and the row at last.
    `before` is the id of a run: the walk goes on below it. `due_at` is when its next chunk may be
    done (of the real clock), None when it is done. `total` is None until the runs are counted.
    """

    __tablename__ = "search_keys"
    __table_args__ = (
        # serves due() and first_due()
        Index("search_keys_due_idx", "due_at", postgresql_where=_DUE, sqlite_where=_DUE),
    )
    function_id: Mapped[str] = mapped_column(
        ForeignKey("functions.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    path: Mapped[str | None] = mapped_column(Text)
    declared_at: Mapped[datetime] = mapped_column(Timestamp)
    state: Mapped[str] = mapped_column(Text)
    before: Mapped[str] = mapped_column(Text)
    due_at: Mapped[datetime | None] = mapped_column(Timestamp)
    done: Mapped[int]
    total: Mapped[int | None]


_keys, _functions = table_of(SearchKey), table_of(FunctionRow)
_first_due = SingleValue(select(func.min(_keys.c.due_at)).where(_keys.c.due_at.is_not(None)))


def declare(tx: Connection, function_id: str, keys: str | None) -> None:
    """Write a function's keys (JSON, None for none) to its row, for those who make runs.

    Caches compare the revision of its limits: it is raised, so that they read the row again.
    """
    changed = update_rows(_functions).where(_functions.c.id == function_id)
    revision = _functions.c.limits_revision + 1
    tx.execute(changed.values(search_keys=keys, limits_revision=revision))


def put(tx: Connection, values: RowValues) -> None:
    """Insert a key's row, or replace it."""
    tx.execute(upsert(tx, SearchKey, values, keys=["function_id", "name"]))


def of_function(tx: Connection, function_id: str) -> dict[str, RowMapping]:
    """Find the keys of a function by name, removed ones that still have values too; locks them."""
    query = select(_keys).where(_keys.c.function_id == function_id).order_by(_keys.c.name)
    return {row["name"]: row for row in tx.execute(query.with_for_update()).mappings()}


def declared(tx: Connection, function_id: str) -> Sequence[RowMapping]:
    """List the keys that a function declares, by name."""
    query = select(_keys).where(_keys.c.function_id == function_id, _keys.c.path.is_not(None))
    return tx.execute(query.order_by(_keys.c.name)).mappings().all()


def unfinished(tx: Connection, names: Sequence[str]) -> Sequence[RowMapping]:
    """List the declared keys of these names whose walk is on its way to the oldest run."""
    walking = (_keys.c.state == WalkState.WALKING.value, _keys.c.path.is_not(None))
    query = select(_keys).where(_keys.c.due_at.is_not(None), _keys.c.name.in_(names), *walking)
    return tx.execute(query).mappings().all()


def first_due(tx: Connection) -> datetime | None:
    """Say when the next chunk of a key may be done; None when no key needs one."""
    found: datetime | None = _first_due.value(tx)
    return found


def not_counted(tx: Connection, now: datetime) -> RowMapping | None:
    """Find a key whose chunk is due, and whose older runs are not counted yet."""
    due = (_keys.c.due_at <= now, _keys.c.total.is_(None))
    return tx.execute(select(_keys).where(*due).limit(1)).mappings().first()


def take_due(tx: Connection, now: datetime) -> RowMapping | None:
    """Lock the key whose chunk is due first; skips those that another process has locked."""
    query = select(_keys).where(_keys.c.due_at <= now).order_by(_keys.c.due_at).limit(1)
    return tx.execute(query.with_for_update(skip_locked=True)).mappings().first()


def set_total(tx: Connection, key: RowMapping, total: int) -> None:
    """Write how many runs a walk has before it, unless the key has been declared anew since."""
    same = _keys.c.declared_at == key["declared_at"]
    tx.execute(update_rows(_keys).where(*_this(key), same).values(total=total))


def update(tx: Connection, key: RowMapping, values: RowValues) -> None:
    """Change a key's row, under its lock."""
    tx.execute(update_rows(_keys).where(*_this(key)).values(**values))


def remove(tx: Connection, key: RowMapping) -> None:
    """Delete a key's row, under its lock."""
    tx.execute(delete(_keys).where(*_this(key)))


def _this(key: RowMapping) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (_keys.c.function_id == key["function_id"], _keys.c.name == key["name"])
