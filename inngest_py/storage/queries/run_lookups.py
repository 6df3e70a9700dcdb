"""Look-ups of runs, their outputs and their deferred functions, by the ids of runs."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, RowMapping, bindparam, select

from ...domain.steps.defers import Defer, DeferStatus
from ..db.columns import table_of
from ..runs.defers import DeferRow
from .run_columns import SMALL, runs, select_runs

_defers = table_of(DeferRow)


def get(tx: Connection, run_id: str, columns: Sequence[str] = SMALL) -> RowMapping | None:
    """Find a run with these columns (see run_columns); None when there is none."""
    return tx.execute(select_runs(columns).where(runs.c.id == run_id)).mappings().first()


def of_event(tx: Connection, event_id: str) -> str | None:
    """Find the run that an event of its own has started; None when it has started none."""
    return tx.execute(select(runs.c.id).where(runs.c.event_id == event_id)).scalar()


def function_of(tx: Connection, run_id: str) -> str | None:
    """Find the id of a run's function; None when there is no such run."""
    return tx.execute(select(runs.c.function_id).where(runs.c.id == run_id)).scalar()


def functions_of(tx: Connection, run_ids: Sequence[str]) -> dict[str, str]:
    """Find the function ids of runs, by run."""
    mine = runs.c.id.in_(sorted(set(run_ids)))
    rows = tx.execute(select(runs.c.id, runs.c.function_id).where(mine))
    return {row[0]: row[1] for row in rows}


def has_output(tx: Connection, run_id: str) -> bool:
    """Say whether a run has an output."""
    query = select(runs.c.id).where(runs.c.id == run_id, runs.c.output.is_not(None))
    return tx.execute(query).first() is not None


def outputs(tx: Connection, run_ids: Sequence[str]) -> Mapping[str, str | None]:
    """Read the outputs of runs, as they are stored."""
    query = select(runs.c.id, runs.c.output).where(runs.c.id.in_(run_ids))
    return {row.id: row.output for row in tx.execute(query)}


_defers_of = (
    select(_defers)
    .where(_defers.c.run_id.in_(bindparam("runs", expanding=True)))
    .order_by(_defers.c.run_id, _defers.c.hash)
)


def defers(tx: Connection, run_ids: Sequence[str]) -> dict[str, dict[str, Defer]]:
    """Read the deferred functions of runs, by run and hash; runs without any are missing."""
    found: dict[str, dict[str, Defer]] = {}
    for row in tx.execute(_defers_of, {"runs": list(run_ids)}).mappings():
        values = {name: row[name] for name in ("hash", "name", "slug", "input", "meta", "reason")}
        made = Defer(status=DeferStatus(row["status"]), **values)
        found.setdefault(row["run_id"], {})[row["hash"]] = made
    return found
