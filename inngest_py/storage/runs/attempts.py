"""Attempts: one row per attempt of a step or of the function, written with its result."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Index, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from ...domain.reply.plans import TimelineEntry
from ..db.columns import Base, BigId, Json, Timestamp, table_of
from ..db.row_types import RowValues
from ..db.statements import Insert


class Attempt(Base):
    """One attempt; `step` is None for an attempt of the function's own code.

    Its output is stored as the step's result (`steps`) or the run's output. A wait has two rows:
    one of status `waiting`, written when it begins, whose `ended_at` has no meaning, and one
    written when it ends. `info` is JSON with details of the step's kind. `worker` names the process
    or connected worker that made the attempt (domain/runs/made_by); None if none did, as for a
    sleep, or if it is not known, as for checkpoints.
    """

    __tablename__ = "attempts"
    # serves queries.timeline_rows
    __table_args__ = (Index("attempts_run_idx", "run_id"),)
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[str] = mapped_column(Text)
    step: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    op: Mapped[str] = mapped_column(Text)
    attempt: Mapped[int]
    status: Mapped[str] = mapped_column(Text)
    queued_at: Mapped[datetime] = mapped_column(Timestamp)
    started_at: Mapped[datetime] = mapped_column(Timestamp)
    ended_at: Mapped[datetime] = mapped_column(Timestamp)
    http_status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Json)
    info: Mapped[str | None] = mapped_column(Json)
    worker: Mapped[str | None] = mapped_column(Text)


_attempts = table_of(Attempt)
_add = Insert(_attempts)


def new_row(
    run_id: str,
    entry: TimelineEntry,
    *,
    queued_at: datetime,
    started_at: datetime,
    ended_at: datetime,
    attempt: int = 0,
    http_status: int | None = None,
    worker: str | None = None,
) -> RowValues:
    """Make the row of an attempt, or of another entry of the run's timeline."""
    return {
        "run_id": run_id,
        "step": entry.step,
        "name": entry.name,
        "op": entry.op,
        "attempt": attempt,
        "status": entry.status,
        "queued_at": queued_at,
        "started_at": started_at,
        "ended_at": ended_at,
        "http_status": http_status,
        "error": entry.error,
        "info": entry.info,
        "worker": worker,
    }


def add(tx: Connection, rows: Sequence[RowValues]) -> None:
    """Write attempts."""
    if rows:
        _add.run(tx, rows)


def errors(tx: Connection, run_id: str, step: str) -> list[str]:
    """List the errors (JSON) of a step's attempts that were retried."""
    mine = (_attempts.c.run_id == run_id, _attempts.c.step == step)
    query = select(_attempts.c.error).where(*mine, _attempts.c.status == "errored")
    return [error for error in tx.execute(query).scalars() if error is not None]
