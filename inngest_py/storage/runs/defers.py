"""Deferred functions of runs ("defers"), written under the lock of the run's row."""

from collections.abc import Iterable

from sqlalchemy import Connection, ForeignKey, Text, delete, insert
from sqlalchemy.orm import Mapped, mapped_column

from ...domain.steps.defers import Defer
from ..db.columns import Base, Json, table_of


class DeferRow(Base):
    """A deferred function of a run; `reason` says why it was rejected."""

    __tablename__ = "defers"
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    hash: Mapped[str] = mapped_column(Text, primary_key=True)
    status: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    slug: Mapped[str] = mapped_column(Text)
    input: Mapped[str | None] = mapped_column(Json)
    meta: Mapped[str | None] = mapped_column(Json)
    reason: Mapped[str | None] = mapped_column(Text)


_defers = table_of(DeferRow)


def put(tx: Connection, run_id: str, defers: Iterable[Defer]) -> None:
    """Write defers of a run; they replace those with the same hashes."""
    rows = [
        {
            "run_id": run_id,
            "hash": defer.hash,
            "status": defer.status.value,
            "name": defer.name,
            "slug": defer.slug,
            "input": defer.input,
            "meta": defer.meta,
            "reason": defer.reason,
        }
        for defer in defers
    ]
    hashes = [row["hash"] for row in rows]
    mine = (_defers.c.run_id == run_id, _defers.c.hash.in_(hashes))
    tx.execute(delete(_defers).where(*mine))
    tx.execute(insert(_defers), rows)
