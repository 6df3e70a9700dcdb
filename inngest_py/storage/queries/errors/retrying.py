"""Runs that are being tried again, with their last failed attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from ....domain.reports.error_groups import ErrorState
from ....domain.reports.retrying import RetryingCause, RetryingRun, causes_of
from ....domain.runs.phases import Phase
from ....domain.runs.runs import RunStatus
from ...db.columns import table_of
from ...db.row_types import Record
from ...operations.error_groups import ErrorGroup, beginning
from ...queue.queue_items import QueueItem
from ...runs.attempts import Attempt
from .. import run_list
from ..run_filters.run_query import RunQuery
from . import groups

MOST = 500  # runs that are looked at
_attempts, _items, _groups = table_of(Attempt), table_of(QueueItem), table_of(ErrorGroup)
_RUN = ("id", "function_id", "function_slug", "app_name")


@dataclass(frozen=True, slots=True)
class Retrying:
    """Why runs are tried again; with `more`, only the newest of them are counted.

    `states` has those of the causes' error groups that are there already.
    """

    causes: Sequence[RetryingCause]
    states: dict[str, ErrorState]
    more: bool

    def unmuted(self) -> list[RetryingCause]:
        """List the causes whose groups are not muted."""
        return [
            cause
            for cause in self.causes
            if self.states.get(cause.error_id) is not ErrorState.MUTED
        ]


NOTHING = Retrying((), {}, more=False)


def now_retrying(
    tx: Connection,
    now: datetime,
    function_ids: Sequence[str] | None = None,
    most: int = MOST,
) -> Retrying:
    """Say why runs are tried again, of some functions or of all; looks at `most` runs."""
    query = RunQuery(
        statuses=[RunStatus.RUNNING], phases=[Phase.RETRYING], function_ids=function_ids
    )
    rows = run_list.look(tx, query, limit=most + 1, columns=_RUN).rows
    more, rows = len(rows) > most, rows[:most]
    if not rows:
        return NOTHING
    ids = [row["id"] for row in rows]
    failed, due = _last_failed(tx, ids), _next_attempts(tx, ids)
    causes = causes_of(
        RetryingRun(
            row["id"],
            row["function_id"],
            row["function_slug"],
            row["app_name"],
            failed[row["id"]].name if failed[row["id"]].step is not None else None,
            failed[row["id"]].error,
            due[row["id"]],
        )
        for row in rows
        if row["id"] in failed and row["id"] in due
    )
    return Retrying(causes, _states(tx, [cause.error_id for cause in causes], now), more)


def _last_failed(tx: Connection, run_ids: Sequence[str]) -> dict[str, Record]:
    """Find the last attempt of each run that failed and is tried again."""
    mine = _attempts.c.run_id.in_(run_ids), _attempts.c.status == "errored"
    last = select(func.max(_attempts.c.id)).where(*mine).group_by(_attempts.c.run_id)
    query = select(
        _attempts.c.run_id,
        _attempts.c.step,
        _attempts.c.name,
        beginning(_attempts.c.error).label("error"),
    ).where(_attempts.c.id.in_(last))
    return {row.run_id: row for row in tx.execute(query)}


def _next_attempts(tx: Connection, run_ids: Sequence[str]) -> dict[str, datetime]:
    """Say for each run when the first of its next attempts is due."""
    query = select(_items.c.run_id, func.min(_items.c.due_at))
    query = query.where(_items.c.run_id.in_(run_ids), _items.c.attempt > 0)
    return {row[0]: row[1] for row in tx.execute(query.group_by(_items.c.run_id))}


def _states(tx: Connection, error_ids: Sequence[str], now: datetime) -> dict[str, ErrorState]:
    query = select(_groups.c.id, groups.state_at(now).label("state"))
    query = query.where(_groups.c.id.in_(error_ids))
    return {row.id: ErrorState(row.state) for row in tx.execute(query)}
