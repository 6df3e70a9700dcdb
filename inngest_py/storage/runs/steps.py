"""Steps: the memo of a run, one row per stored result. The first write of a hash wins."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Text, bindparam, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, Json, Timestamp, table_of
from ..db.dialects import is_sqlite
from ..db.row_types import Records, RowValues
from ..db.statements import InsertNew, PerRow, given


class Step(Base):
    """A step's stored result; `output` is the memo value sent to SDKs (execution.md §2)."""

    __tablename__ = "steps"
    run_id: Mapped[str] = mapped_column(Text, primary_key=True)
    hash: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[int]  # in the stack
    name: Mapped[str] = mapped_column(Text)
    op: Mapped[str] = mapped_column(Text)
    output: Mapped[str] = mapped_column(Json)
    stored_at: Mapped[datetime] = mapped_column(Timestamp)


_steps = table_of(Step)


_add = InsertNew(_steps, "run_id", "hash")


def add(tx: Connection, rows: Sequence[RowValues]) -> set[tuple[str, str]]:
    """Store results; return the (run id, hash) of steps that had none before."""
    return {(row.run_id, row.hash) for row in _add.fresh(tx, rows)} if rows else set()


_known = select(_steps.c.hash).where(
    _steps.c.run_id == bindparam("run"), _steps.c.hash.in_(bindparam("hashes", expanding=True))
)


def known(tx: Connection, run_id: str, hashes: Sequence[str]) -> set[str]:
    """Say which of the hashes have a stored result."""
    return set(tx.execute(_known, {"run": run_id, "hashes": list(hashes)}).scalars())


_stack = select(_steps.c.run_id, _steps.c.hash, _steps.c.output).order_by(
    _steps.c.run_id, _steps.c.position
)
_memo = _stack.where(_steps.c.run_id.in_(bindparam("runs", expanding=True)))
_memo_of_one = PerRow(_stack.where(_steps.c.run_id == given(["run"])["run"]), ["run"])


def memo(tx: Connection, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read the memos of runs: hash to stored JSON, in the order of the stack."""
    found: dict[str, dict[str, str]] = {run_id: {} for run_id in run_ids}
    if is_sqlite(tx):
        rows: Records = _memo_of_one.run(tx, [(run_id,) for run_id in found])
    else:
        rows = tx.execute(_memo, {"runs": list(run_ids)})
    for run_id, step_hash, output in rows:
        found[run_id][step_hash] = output
    return found


_output = select(_steps.c.output).where(
    _steps.c.run_id == bindparam("run"), _steps.c.hash == bindparam("hash")
)


def output(tx: Connection, run_id: str, step_hash: str) -> str | None:
    """Read one stored result; None when the run has none of this hash."""
    return tx.execute(_output, {"run": run_id, "hash": step_hash}).scalar()


def drop(tx: Connection, run_ids: Sequence[str]) -> None:
    """Delete the memos of runs."""
    tx.execute(delete(_steps).where(_steps.c.run_id.in_(list(run_ids))))
