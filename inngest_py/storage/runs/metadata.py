"""Metadata of runs, steps and spans: one row per target and kind."""

from datetime import datetime

from sqlalchemy import Connection, ForeignKey, Text, delete
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, Json, Timestamp, table_of
from ..db.row_types import RowValues
from ..db.session import upsert


class RunMetadata(Base):
    """The metadata of one kind on one target; `size` counts the bytes of kind and values.

    `target` distinguishes the targets of a run. `step` is the hash of the target's step, or None.
    """

    __tablename__ = "run_metadata"
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    target: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    scope: Mapped[str] = mapped_column(Text)
    step: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int | None]
    content: Mapped[str] = mapped_column(Json)
    size: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(Timestamp)


_rows = table_of(RunMetadata)


def put(tx: Connection, values: RowValues) -> None:
    """Insert a row or replace the one of the same target and kind."""
    tx.execute(upsert(tx, RunMetadata, values, keys=["run_id", "target", "kind"]))


def remove(tx: Connection, run_id: str, target: str, kind: str) -> None:
    """Delete a row."""
    mine = (_rows.c.run_id == run_id, _rows.c.target == target, _rows.c.kind == kind)
    tx.execute(delete(_rows).where(*mine))
