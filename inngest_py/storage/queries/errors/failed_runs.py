"""The failed runs of an error group."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, RowMapping, exists, func, select

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
    first page; fewer than `limit` ids are the last page. A run belongs to its group about a second
    after it has failed.
    """
    found: list[str] = []
    while len(found) < limit:
        window = _links(error_id)
        if after is not None:
            window = window.where(_failed.c.run_id > after)
        ids = tx.execute(window.order_by(_failed.c.run_id).limit(limit)).scalars().all()
        if not ids:
            break
        after = ids[-1]
        still = _still_failed(runs.c.id.in_(ids)).order_by(runs.c.id)
        found += tx.execute(still).scalars()
    return found[:limit]


def count_still_failed(tx: Connection, error_id: str, most: int) -> int:
    """Count the runs that failed_runs_of_error() lists, among the newest `most` of the group."""
    newest = _links(error_id).order_by(_failed.c.run_id.desc()).limit(most).subquery()
    chosen = _still_failed(runs.c.id.in_(select(newest.c.run_id))).subquery()
    counted: int = tx.execute(select(func.count()).select_from(chosen)).scalar_one()
    return counted


def still_failed(error_id: str) -> list[ColumnElement[bool]]:
    """Write that a run is one of those that failed_runs_of_error() lists."""
    return _conditions(runs.c.id.in_(_links(error_id)))


def _links(error_id: str) -> Query:
    return select(_failed.c.run_id).where(_failed.c.error_id == error_id)


def _still_failed(chosen: ColumnElement[bool]) -> Query:
    return select(runs.c.id).where(*_conditions(chosen))


def _conditions(chosen: ColumnElement[bool]) -> list[ColumnElement[bool]]:
    has_rerun = exists().where(_again.c.original_run_id == runs.c.id)
    return [chosen, runs.c.status == RunStatus.FAILED.value, ~has_rerun]


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
