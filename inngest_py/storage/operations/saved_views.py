"""Saved views of the list of runs, which all users of an installation share."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, Text, delete, func, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, Timestamp, table_of
from ..db.row_types import RowValues


class SavedView(Base):
    """A view; `query` has its filters as a URL has them, `owner` is the name of who saved it."""

    __tablename__ = "saved_views"
    id: Mapped[str] = mapped_column(Text, primary_key=True)  # ULID
    name: Mapped[str] = mapped_column(Text, unique=True)
    query: Mapped[str] = mapped_column(Text)
    owner: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Timestamp)


_views = table_of(SavedView)


def every(tx: Connection) -> Sequence[RowMapping]:
    """List the views by name."""
    return tx.execute(select(_views).order_by(_views.c.name)).mappings().all()


def count(tx: Connection) -> int:
    """Count the views."""
    return tx.execute(select(func.count()).select_from(_views)).scalar_one()


def add(tx: Connection, values: RowValues) -> None:
    """Write a new view. Raises IntegrityError if another has its name."""
    tx.execute(insert(_views).values(values))


def remove(tx: Connection, view_id: str, owner: str | None) -> RowMapping | None:
    """Delete a view, with `owner` only one of theirs; return what it was, None if it is not."""
    mine = delete(_views).where(_views.c.id == view_id)
    if owner is not None:
        mine = mine.where(_views.c.owner == owner)
    return tx.execute(mine.returning(_views)).mappings().first()


def exists(tx: Connection, view_id: str) -> bool:
    """Say whether there is a view of this id."""
    return tx.execute(select(_views.c.id).where(_views.c.id == view_id)).first() is not None
