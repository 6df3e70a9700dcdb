"""The failed runs of an error group."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, exists, select

from ....domain.runs.runs import RunStatus
from ...db.columns import table_of
from ...db.row_types import Query
from ...runs.failed_runs import FailedRun
from ...runs.runs import RunRow
from ..run_columns import SMALL, runs, select_runs

_failed, _again = table_of(FailedRun), table_of(RunRow).alias("again")


def failed_runs_of_error(
    tx: Connection, error_id: str, after: str | None, limit: int
) -> Sequence[str]:
    """List the ids of a group's runs that are still to be run again, in the order of their ids.

    These have failed, and have no rerun. `after` is the last id of the page before, None for the
    first page. A run belongs to its group about a second after it has failed.
    """
    return tx.execute(_still_failed(error_id, after).limit(limit)).scalars().all()


def count_still_failed(tx: Connection, error_id: str, most: int) -> int:
    """Count the runs that failed_runs_of_error() lists, up to `most`."""
    return len(tx.execute(_still_failed(error_id, None).limit(most)).scalars().all())


def _still_failed(error_id: str, after: str | None) -> Query:
    query = (
        select(_failed.c.run_id)
        .join(runs, runs.c.id == _failed.c.run_id)
        .where(
            _failed.c.error_id == error_id,
            runs.c.status == RunStatus.FAILED.value,
            ~exists().where(_again.c.original_run_id == _failed.c.run_id),
        )
    )
    if after is not None:
        query = query.where(_failed.c.run_id > after)
    return query.order_by(_failed.c.run_id)


def newest(tx: Connection, error_id: str, limit: int) -> Sequence[RowMapping]:
    """List the newest runs of a group, with the columns of lists of runs."""
    mine = select(_failed.c.run_id).where(_failed.c.error_id == error_id)
    mine = mine.order_by(_failed.c.run_id.desc()).limit(limit)
    ids = tx.execute(mine).scalars().all()
    query = select_runs(SMALL).where(runs.c.id.in_(ids)).order_by(runs.c.id.desc())
    return tx.execute(query).mappings().all()


def error_of(tx: Connection, run_id: str) -> str | None:
    """Say to which group a run belongs; None for one that has not failed, or has no group yet."""
    found: str | None = tx.execute(
        select(_failed.c.error_id).where(_failed.c.run_id == run_id)
    ).scalar()
    return found
