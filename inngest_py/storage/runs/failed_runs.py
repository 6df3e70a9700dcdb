"""Runs that failed, and to which error group each belongs."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, Timestamp, table_of
from ..db.statements import Insert

_NEW = text("error_id IS NULL")
_GROUPED = text("error_id IS NOT NULL")


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


_add = Insert(table_of(FailedRun))


def add(tx: Connection, failed: Sequence[tuple[str, datetime]]) -> None:
    """Note runs that this transaction has ended as failed, each with the time of its end.

    Only inserts: runs that fail for one cause at one time never wait for each other.
    """
    if failed:
        _add.run(tx, [{"run_id": run_id, "failed_at": at} for run_id, at in failed])
