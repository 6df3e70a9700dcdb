"""Bulk cancellations: which runs to cancel, and the progress.

A cancellation's row is locked before the rows of the runs that it cancels, never after them.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import (
    Connection,
    ForeignKey,
    Index,
    RowMapping,
    Text,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from ...domain.runs.runs import LIVE
from ..catalog.functions import App, FunctionRow
from ..db.columns import Base, Timestamp, table_of
from ..db.row_types import RowValues
from ..db.session import skip_locked
from ..runs.runs import RunRow

_OPEN = text("finished_at IS NULL")


class BulkCancellationRow(Base):
    """A bulk cancellation; `cursor` is the last run id looked at, None when a pass begins."""

    __tablename__ = "cancellations"
    # serves lock_due()
    __table_args__ = (
        Index("cancellations_due_idx", "due_at", postgresql_where=_OPEN, sqlite_where=_OPEN),
    )
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    function_id: Mapped[str] = mapped_column(ForeignKey("functions.id", ondelete="CASCADE"))
    started_after: Mapped[datetime | None] = mapped_column(Timestamp)
    started_before: Mapped[datetime] = mapped_column(Timestamp)
    expression: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    due_at: Mapped[datetime] = mapped_column(Timestamp)
    cursor: Mapped[str | None] = mapped_column(Text)
    cancelled: Mapped[int] = mapped_column(server_default=text("0"))
    finished_at: Mapped[datetime | None] = mapped_column(Timestamp)


_rows = table_of(BulkCancellationRow)
_runs = table_of(RunRow)
_LIVE = [status.value for status in LIVE]


def add(tx: Connection, row: RowValues) -> None:
    """Write a cancellation."""
    tx.execute(insert(_rows).values(row))


def remove(tx: Connection, cancellation_id: str) -> bool:
    """Delete a cancellation, after a page that is being cancelled; False when there is none."""
    gone = delete(_rows).where(_rows.c.id == cancellation_id).returning(_rows.c.id)
    return tx.execute(gone).first() is not None


def lock_due(
    tx: Connection, now: datetime, cancellation_id: str | None = None
) -> RowMapping | None:
    """Lock the unfinished cancellation that is due first, or the given one, if it is due.

    None when there is none, or all are locked.
    """
    query = select(_rows).where(_rows.c.finished_at.is_(None), _rows.c.due_at <= now)
    if cancellation_id is not None:
        query = query.where(_rows.c.id == cancellation_id)
    query = query.order_by(_rows.c.due_at, _rows.c.id).limit(1)
    return tx.execute(skip_locked(tx, query)).mappings().first()


def is_due(tx: Connection, now: datetime) -> bool:
    """Say whether any cancellation is due for its next page."""
    query = select(_rows.c.id).where(_rows.c.finished_at.is_(None), _rows.c.due_at <= now)
    return tx.execute(query.limit(1)).first() is not None


def live_runs(tx: Connection, row: RowMapping, limit: int) -> list[str]:
    """List the next runs of the cancellation that have not ended, by id, after its cursor."""
    query = select(_runs.c.id).where(
        _runs.c.function_id == row["function_id"],
        _runs.c.status.in_(_LIVE),
        _runs.c.queued_at < row["started_before"],
    )
    if row["started_after"] is not None:
        query = query.where(_runs.c.queued_at >= row["started_after"])
    if row["cursor"] is not None:
        query = query.where(_runs.c.id > row["cursor"])
    return list(tx.execute(query.order_by(_runs.c.id).limit(limit)).scalars())


def move(tx: Connection, cancellation_id: str, values: RowValues, cancelled: int) -> None:
    """Write progress, under the lock of lock_due()."""
    more = {"cancelled": _rows.c.cancelled + cancelled, **values}
    tx.execute(update(_rows).where(_rows.c.id == cancellation_id).values(more))


def of_function(tx: Connection, app: str, names: Sequence[str]) -> RowMapping | None:
    """Find an app's function by one of these slugs, archived or not; None when there is none."""
    query = (
        select(FunctionRow.id, FunctionRow.slug)
        .join(App, App.id == FunctionRow.app_id)
        .where(App.name == app, FunctionRow.slug.in_(list(names)))
    )
    return tx.execute(query.order_by(FunctionRow.slug.desc())).mappings().first()
