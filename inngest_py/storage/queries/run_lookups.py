"""Look-ups of runs: one, those of an event, and the page of the native REST."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, and_, or_, select

from ...domain.runs.runs import RunStatus
from ..catalog.functions import App, FunctionRow
from ..db.columns import table_of
from ..db.keyset import within
from ..events.events import EventRow
from ..flow import event_batches
from ..runs.runs import RunRow

_runs = table_of(RunRow)


def function_of(tx: Connection, run_id: str) -> str | None:
    """Find the id of a run's function; None when there is no such run."""
    return tx.execute(select(_runs.c.function_id).where(_runs.c.id == run_id)).scalar()


def functions_of(tx: Connection, run_ids: Sequence[str]) -> dict[str, str]:
    """Find the function ids of runs, by run."""
    mine = _runs.c.id.in_(sorted(set(run_ids)))
    rows = tx.execute(select(_runs.c.id, _runs.c.function_id).where(mine))
    return {row[0]: row[1] for row in rows}


_shown = (
    select(
        _runs,
        FunctionRow.slug.label("function_slug"),
        FunctionRow.name.label("function_name"),
        App.name.label("app_name"),
        EventRow.name.label("event_name"),
    )
    .join(FunctionRow, FunctionRow.id == _runs.c.function_id)
    .join(App, App.id == FunctionRow.app_id)
    .join(EventRow, EventRow.id == _runs.c.event_id)
)


def get(tx: Connection, run_id: str) -> RowMapping | None:
    """Find a run with the names of its function, app and event; None when there is none."""
    return tx.execute(_shown.where(_runs.c.id == run_id)).mappings().first()


def of_event(tx: Connection, event_id: str) -> list[RowMapping]:
    """List the runs that an event started, alone or in an event batch, oldest first."""
    mine = or_(
        _runs.c.event_id == event_id,
        and_(_runs.c.batch_id.is_not(None), _runs.c.batch_id.in_(event_batches.of_event(event_id))),
    )
    query = _shown.where(mine).order_by(_runs.c.id)
    return list(tx.execute(query).mappings())


def page(
    tx: Connection,
    *,
    limit: int,
    cursor: str | None = None,
    statuses: Sequence[RunStatus] = (),
    function_ids: Sequence[str] | None = None,
    after: datetime | None = None,
    before: datetime | None = None,
) -> list[RowMapping]:
    """List runs, newest first, after the cursor (a run id); times bound `queued_at`."""
    query = _shown
    if cursor is not None:
        query = query.where(_runs.c.id < cursor)
    if statuses:
        query = query.where(_runs.c.status.in_([status.value for status in statuses]))
    if function_ids is not None:
        query = query.where(_runs.c.function_id.in_(function_ids))
    if after is not None:
        query = query.where(_runs.c.queued_at >= after)
    if before is not None:
        query = query.where(_runs.c.queued_at < before)
    query = query.where(*within(_runs.c.id, after, before))
    return list(tx.execute(query.order_by(_runs.c.id.desc()).limit(limit)).mappings())
