"""Runs that failed, and to which error group each belongs."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Index, Text, exists, select, text
from sqlalchemy.orm import Mapped, mapped_column

from ...domain.runs.runs import RunStatus
from ..db import meta
from ..db.columns import Base, Timestamp, table_of
from ..db.row_types import Record
from ..db.session import insert
from ..db.statements import Insert
from .runs import RunRow

_NEW = text("error_id IS NULL")
_GROUPED = text("error_id IS NOT NULL")
_SINCE = "failures_grouped_since"  # Unix milliseconds at which runs were queued
ALL = 0


class FailedRun(Base):
    """A run that failed; `error_id` is None until upkeep has found its group."""

    __tablename__ = "failed_runs"
    __table_args__ = (
        # serves operations.error_groups.take()
        Index("failed_runs_new_idx", "failed_at", postgresql_where=_NEW, sqlite_where=_NEW),
        # serves queries.errors.failed_runs
        Index(
            "failed_runs_error_idx",
            "error_id",
            "run_id",
            postgresql_where=_GROUPED,
            sqlite_where=_GROUPED,
        ),
    )
    run_id: Mapped[str] = mapped_column(Text, primary_key=True)
    failed_at: Mapped[datetime] = mapped_column(Timestamp)
    error_id: Mapped[str | None] = mapped_column(Text)


_failed, _runs = table_of(FailedRun), table_of(RunRow)
_add = Insert(_failed)


def add(tx: Connection, failed: Sequence[tuple[str, datetime]]) -> None:
    """Note runs that this transaction has ended as failed, each with the time of its end.

    Only inserts: runs that fail for one cause at one time never wait for each other.
    """
    if failed:
        _add.run(tx, [{"run_id": run_id, "failed_at": at} for run_id, at in failed])


def grouped_since(tx: Connection) -> int | None:
    """Say since when (Unix milliseconds) all runs that were queued and failed are noted here.

    Returns ALL when no older run is left, None before the first look.
    """
    return meta.value(tx, _SINCE)


def without_note(tx: Connection, before: str | None, limit: int) -> list[Record]:
    """List the newest runs before an id that failed and are not noted here: `id`, `ended_at`."""
    query = select(_runs.c.id, _runs.c.ended_at).where(_runs.c.status == RunStatus.FAILED.value)
    if before is not None:
        query = query.where(_runs.c.id < before)
    query = query.where(~exists().where(_failed.c.run_id == _runs.c.id))
    return list(tx.execute(query.order_by(_runs.c.id.desc()).limit(limit)))


def move_on(tx: Connection, since_ms: int | None, to_ms: int) -> bool:
    """Note since when all failed runs are noted here; False if that has changed meanwhile."""
    if since_ms is None:
        return meta.put_first(tx, _SINCE, to_ms)
    return meta.move(tx, _SINCE, since_ms, to_ms)


def note_old(tx: Connection, failed: Sequence[tuple[str, datetime]]) -> None:
    """Note runs that failed earlier; leaves out those that are noted already."""
    if failed:
        rows = [{"run_id": run_id, "failed_at": at} for run_id, at in failed]
        tx.execute(insert(tx, FailedRun).on_conflict_do_nothing(), rows)
